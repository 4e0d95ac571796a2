//! Leave for one request: an instance, a place within the caps of the service, and what the breaker says.

use std::sync::Arc;

use super::ask::{Ask, BreakerUse};
use super::breaker::{Breaker, Rules, Stopped, Ticket};
use super::choose::{Chosen, Reason, choose, choose_fresh};
use super::draw::mix;
use super::instance::{Instance, is_among};
use super::ledger::Place;
use super::roster::Roster;
use super::service::Service;
use super::sticky::{self, Bond};
use crate::refusal::{Refusal, Unavailable};

/// How often the algorithm chooses anew because the breaker of the chosen instance refuses; then the lineup decides.
const ATTEMPTS: u64 = 8;

pub(super) struct Leave<'r> {
    pub(super) chosen: Chosen<'r>,
    pub(super) bond: Bond,
    pub(super) place: Option<Place>,
    pub(super) ticket: Option<Ticket>,
    /// The breaker of the tenant, where the request has that.
    pub(super) own: Option<Arc<Breaker>>,
}

pub(super) fn admit<'r>(service: &Service, roster: &'r Roster, ask: &Ask<'_>) -> Result<Leave<'r>, Refusal> {
    let (pinned, bond) = sticky::find(service.terms(), roster, ask);
    let rules = service.breaker_rules.as_ref().filter(|_| ask.breaker != BreakerUse::None);
    let own = rules.and_then(|rules| of_tenant(service, rules, ask));
    if let Some(rules) = rules.filter(|rules| rules.is_per_instance() && ask.is_shared(own.is_some())) {
        return Search { service, roster, rules, ask, refused: ask.tried.to_vec() }.leave(pinned, bond);
    }
    let (pinned, bond) = fresh(pinned, bond, ask);
    let pinned = pinned.map(|instance| (instance, Reason::Sticky));
    let chosen = pinned.or_else(|| choose_fresh(&service.balance.algorithm, roster, ask));
    let chosen = chosen.ok_or_else(|| nobody(service, roster, ask))?;
    let place = place(service, ask)?;
    let breaker = own.as_deref().unwrap_or_else(|| common(service, ask.breaker));
    let admitted = rules.map(|rules| breaker.admit(rules, ask.now)).transpose();
    Ok(Leave { chosen, bond, place, ticket: admitted.map_err(stopped)?, own })
}

/// The breaker of the tenant, where the route has one for each.
fn of_tenant(service: &Service, rules: &Rules, ask: &Ask<'_>) -> Option<Arc<Breaker>> {
    let tenant = ask.tenant.filter(|_| ask.breaker == BreakerUse::Tenant)?;
    Some(service.tenant_breakers.get(tenant, rules, ask.now))
}

impl Ask<'_> {
    /// Is the breaker that of the service or of its instances?
    fn is_shared(&self, has_own: bool) -> bool {
        match self.breaker {
            BreakerUse::Shared => true,
            BreakerUse::Tenant => !has_own,
            BreakerUse::None | BreakerUse::Own(_) => false,
        }
    }
}

/// A client that sticks to an instance which has just failed goes elsewhere.
fn fresh<'r>(
    pinned: Option<&'r Arc<Instance>>,
    bond: Bond,
    ask: &Ask<'_>,
) -> (Option<&'r Arc<Instance>>, Bond) {
    let is_stuck = pinned.is_some_and(|instance| is_among(ask.tried, instance));
    if is_stuck { (None, Bond::Moved) } else { (pinned, bond) }
}

/// Where each instance has a breaker: one whose breaker refuses is not chosen.
struct Search<'r: 's, 's> {
    service: &'s Service,
    roster: &'r Roster,
    rules: &'s Rules,
    ask: &'s Ask<'s>,
    /// Those that were tried before, and those whose breakers have refused this request; no more than were chosen.
    refused: Vec<&'s Arc<Instance>>,
}

impl<'r> Search<'r, '_> {
    fn leave(mut self, pinned: Option<&'r Arc<Instance>>, bond: Bond) -> Result<Leave<'r>, Refusal> {
        if pinned.is_none() && self.roster.lineup.is_empty() {
            return Err(nobody(self.service, self.roster, self.ask));
        }
        let place = place(self.service, self.ask)?;
        if let Some(instance) = pinned
            && let Some(ticket) = self.enter(instance)
        {
            return Ok(Leave {
                chosen: (instance, Reason::Sticky),
                bond,
                place,
                ticket: Some(ticket),
                own: None,
            });
        }
        let bond = if pinned.is_some() { Bond::Moved } else { bond };
        match self.chosen().or_else(|| self.anyone()).or_else(|| self.again()) {
            Some((chosen, ticket)) => Ok(Leave { chosen, bond, place, ticket: Some(ticket), own: None }),
            None => Err(self.refusal()),
        }
    }

    /// As the algorithm has it, without those that have refused.
    fn chosen(&mut self) -> Option<(Chosen<'r>, Ticket)> {
        for attempt in 0..ATTEMPTS {
            let random = if attempt == 0 { self.ask.random } else { mix(self.ask.random ^ attempt) };
            let ask = Ask { random, ..*self.ask };
            let chosen = choose(&self.service.balance.algorithm, self.roster, &ask, &self.refused)?;
            if let Some(ticket) = self.enter(chosen.0) {
                return Some((chosen, ticket));
            }
        }
        None
    }

    /// Whoever else is in the lineup, from anywhere in it.
    fn anyone(&self) -> Option<(Chosen<'r>, Ticket)> {
        let length = self.roster.lineup.len();
        let start = self.ask.random.checked_rem(length as u64)? as usize;
        let mut others = (start..length).chain(0..start).filter_map(|place| self.roster.member(place));
        others.find_map(|instance| Some(((instance, Reason::Left), self.ticket(instance)?)))
    }

    /// Rather one that was tried before than none.
    fn again(&mut self) -> Option<(Chosen<'r>, Ticket)> {
        let tried = self.ask.tried;
        self.refused.retain(|instance| !is_among(tried, instance));
        if tried.is_empty() { None } else { self.anyone() }
    }

    fn enter(&mut self, instance: &'r Arc<Instance>) -> Option<Ticket> {
        let ticket = self.ticket(instance);
        if ticket.is_none() && !is_among(&self.refused, instance) {
            self.refused.push(instance);
        }
        ticket
    }

    /// Asks each breaker once.
    fn ticket(&self, instance: &Arc<Instance>) -> Option<Ticket> {
        let is_offered =
            !is_among(&self.refused, instance) && instance.breaker.is_offered(self.rules, self.ask.now);
        if is_offered { instance.breaker.take(self.rules, self.ask.now).ok() } else { None }
    }

    /// Tells of the one that can be asked soonest.
    fn refusal(&self) -> Refusal {
        let (rules, now) = (self.rules, self.ask.now);
        let lineup = (0..self.roster.lineup.len()).filter_map(|place| self.roster.member(place));
        let all = self.refused.iter().copied().chain(lineup);
        let soonest = all.min_by_key(|instance| instance.breaker.stopped(rules, now).retry_after);
        soonest.map_or_else(
            || nobody(self.service, self.roster, self.ask),
            |instance| stopped(instance.breaker.refuse(rules, now)),
        )
    }
}

/// The breaker that is one for all instances.
pub(super) fn common(service: &Service, breaker: BreakerUse) -> &Breaker {
    let own =
        if let BreakerUse::Own(place) = breaker { service.own_breakers.get(place as usize) } else { None };
    own.map_or(&service.breaker, |(_, breaker)| breaker)
}

fn place(service: &Service, ask: &Ask<'_>) -> Result<Option<Place>, Refusal> {
    let admitted = service.ledger.admit(&service.balance.caps, ask.now);
    admitted.map_err(|(cause, retry_after)| Refusal::ServiceUnavailable { cause, retry_after })
}

fn nobody(service: &Service, roster: &Roster, ask: &Ask<'_>) -> Refusal {
    let cause = if roster.is_empty() { Unavailable::NoInstance } else { Unavailable::NoHealthyInstance };
    Refusal::ServiceUnavailable { cause, retry_after: service.retry_after(roster, ask.now) }
}

fn stopped(stopped: Stopped) -> Refusal {
    Refusal::ServiceUnavailable { cause: stopped.cause, retry_after: stopped.retry_after }
}
