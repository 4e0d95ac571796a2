//! The choice of one instance for one request, and what became of it.

use std::cell::Cell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::breaker::{Breaker, BreakerTransition, Call, Rules, Stopped, Ticket};
use super::instance::{Instance, Roster};
use super::service::Service;
use crate::refusal::{Refusal, Unavailable};

/// How a request ended, in the eyes of breaker and health.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The service answered to the end, with this status.
    Answered(u16),
    /// The service broke off its answer, or answered too late: counts for the breaker alone.
    Failure,
    /// The connection failed: counts for the breaker, and for the health of the instance like a failed probe.
    Unreachable,
    /// Says nothing about the service: the client hung up, the gateway refused.
    Neutral,
}

/// An instance that may be sent one request. Only [`pick`] makes one. Dropping it without [`Target::finish`] counts as
/// `Neutral`, so no path can leak a place.
#[derive(Debug)]
pub struct Target {
    pub service: Arc<Service>,
    pub instance: Arc<Instance>,
    breaker: BreakerUse,
    ticket: Option<Ticket>,
    picked: Instant,
    wait: Cell<Wait>,
}

/// How long the service took to answer, as far as that tells anything about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wait {
    /// Not answered yet.
    Pending,
    Answered(Duration),
    /// It waited for the client's body, too.
    Untold,
}

/// Which breaker a route uses (requirements BH-19, D11).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerUse {
    /// None refuses or counts its requests.
    None,
    /// That of the service, or of each of its instances.
    Shared,
    /// Its own; the place in the service's list.
    Own(u32),
}

/// How often a choice is made anew because another worker took the last place of a probe.
const ATTEMPTS: u32 = 3;

/// Chooses an instance.
///
/// Refuses with `ServiceUnavailable`: `NoInstance` for an empty list, `NoHealthyInstance` with the interval of the
/// health check, `BreakerOpen` with the time left, `BreakerRamp` with the time to its next step.
pub fn pick(service: &Arc<Service>, breaker: BreakerUse, now: Instant) -> Result<Target, Refusal> {
    let roster = service.roster.load();
    let rules = service.breaker_rules.as_ref().filter(|_| breaker != BreakerUse::None);
    if let Some(rules) = rules.filter(|rules| rules.is_per_instance() && breaker == BreakerUse::Shared) {
        return pick_admitted(service, &roster, rules, now);
    }
    let usable = |instance: &Instance| service.may_use(instance);
    let instance = roster.propose(usable).ok_or_else(|| nobody(service, &roster))?;
    let ticket =
        rules.map(|rules| common(service, breaker).admit(rules, now)).transpose().map_err(stopped)?;
    Ok(target(service, instance, (breaker, ticket), now))
}

/// Each instance has a breaker: one whose breaker refuses is not chosen.
fn pick_admitted(
    service: &Arc<Service>,
    roster: &Roster,
    rules: &Rules,
    now: Instant,
) -> Result<Target, Refusal> {
    let usable = |instance: &Instance| service.may_use(instance) && instance.breaker.is_offered(rules, now);
    for _ in 0..ATTEMPTS {
        let Some(instance) = roster.propose(usable) else { break };
        if let Ok(ticket) = instance.breaker.take(rules, now) {
            return Ok(target(service, instance, (BreakerUse::Shared, Some(ticket)), now));
        }
    }
    let healthy = roster.instances.iter().filter(|instance| service.may_use(instance));
    let soonest = healthy.min_by_key(|instance| instance.breaker.stopped(rules, now).retry_after);
    Err(soonest
        .map_or_else(|| nobody(service, roster), |instance| stopped(instance.breaker.refuse(rules, now))))
}

fn target(
    service: &Arc<Service>,
    instance: &Arc<Instance>,
    (breaker, ticket): (BreakerUse, Option<Ticket>),
    now: Instant,
) -> Target {
    instance.enter();
    Target {
        service: Arc::clone(service),
        instance: Arc::clone(instance),
        breaker,
        ticket,
        picked: now,
        wait: Cell::new(Wait::Pending),
    }
}

/// The breaker that is one for all instances.
fn common(service: &Service, breaker: BreakerUse) -> &Breaker {
    let own =
        if let BreakerUse::Own(place) = breaker { service.own_breakers.get(place as usize) } else { None };
    own.map_or(&service.breaker, |(_, breaker)| breaker)
}

fn nobody(service: &Service, roster: &Roster) -> Refusal {
    let cause = if roster.is_empty() { Unavailable::NoInstance } else { Unavailable::NoHealthyInstance };
    Refusal::ServiceUnavailable { cause, retry_after: service.retry_after() }
}

fn stopped(stopped: Stopped) -> Refusal {
    Refusal::ServiceUnavailable { cause: stopped.cause, retry_after: stopped.retry_after }
}

impl Target {
    /// The request's body comes while the service waits for it: how long that takes is the client's matter.
    pub fn uploads(&self) {
        self.wait.set(Wait::Untold);
    }

    /// The head of the answer is in. `now` is the moment at which it was.
    pub fn answered(&self, status: u16, now: Instant) {
        if self.wait.get() == Wait::Pending {
            self.wait.set(Wait::Answered(now.saturating_duration_since(self.picked)));
        }
        let probe = self.ticket.filter(|ticket| ticket.is_probe());
        if let (Some(ticket), Some(rules)) = (probe, &self.service.breaker_rules) {
            let good = !rules.is_failure(status) && !self.is_slow(now);
            self.breaker().answered(ticket, good);
        }
    }

    /// Says how the request ended. `now` is the moment at which it did. Gives the change when that opened the breaker.
    pub fn finish(mut self, outcome: Outcome, now: Instant) -> Option<BreakerTransition> {
        match outcome {
            Outcome::Answered(status) => {
                if status < 500 {
                    self.instance.served();
                }
                let rules = self.service.breaker_rules.as_ref();
                let failed = rules.is_some_and(|rules| rules.is_failure(status));
                self.count(failed, now)
            }
            Outcome::Failure => self.count(true, now),
            Outcome::Unreachable => {
                self.fail_health();
                self.count(true, now)
            }
            // The drop that follows gives the ticket back.
            Outcome::Neutral => None,
        }
    }

    fn breaker(&self) -> &Breaker {
        let per_instance = self.service.breaker_rules.as_ref().is_some_and(Rules::is_per_instance);
        if per_instance && self.breaker == BreakerUse::Shared {
            return &self.instance.breaker;
        }
        common(&self.service, self.breaker)
    }

    fn count(&mut self, failed: bool, now: Instant) -> Option<BreakerTransition> {
        let slow = self.is_slow(now);
        let rules = self.service.breaker_rules.as_ref()?;
        let ticket = self.ticket.take()?;
        self.breaker().record(ticket, Call { failed, slow }, rules, now)
    }

    fn is_slow(&self, now: Instant) -> bool {
        let took = match self.wait.get() {
            Wait::Pending => now.saturating_duration_since(self.picked),
            Wait::Answered(took) => took,
            Wait::Untold => return false,
        };
        self.service.breaker_rules.as_ref().is_some_and(|rules| rules.is_slow(took))
    }

    fn fail_health(&self) {
        if let Some(settings) = &self.service.health_check
            && self.instance.observe(false, settings).is_some()
        {
            self.service.events.health_changed();
        }
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        self.instance.leave();
        if let Some(ticket) = self.ticket.take() {
            self.breaker().release(ticket);
        }
    }
}
