//! Limit: may this caller go on now?
//! Takes a `Grant` and the route's `LimitRule`. Gives a `Permit`. Refuses with `OverLimit`, with `Banned`, and with
//! `LimiterUnavailable` where there is no room to count and the route fails closed.
//!
//! A grant and a request make a subject for each tier; tier, subject and cost make an `Ask`; all of them are answered in one
//! atomic decision. The permit keeps what it takes to give back (places) and to pay later (debts).

mod algorithm;
mod bans;
mod bucket;
mod calendar;
mod counters;
mod debt;
mod deciding;
mod emergency;
mod fingerprint;
mod fixed;
mod log;
mod offence;
mod places;
mod plan;
mod quotas;
mod reading;
mod rule;
mod scope;
mod shard;
mod shared;
mod subject;
mod tier;
mod waiting;
mod window;

#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::time::Duration;

use crate::authorize::Grant;
use crate::refusal::{CountedBy, KeyKind, LimitState, LimiterFault, Refusal};
use crate::request::Request;
use crate::snapshot::document::OnFailure;
use crate::trail::Trail;
pub use bans::{Ban, BanLine};
pub use counters::{Counters, Usage};
pub use debt::Debts;
pub use deciding::WOULD_REFUSE;
use deciding::{note, several, sole};
use plan::{Held, MAX_TIERS};
pub use quotas::QuotaLine;
use reading::{Reading, Verdict};
use rule::Cost;
use scope::{Asked, Parts};
use shard::{Ask, Full, Key};
pub use shared::{Answer, Answered, Line, Lines, Mode, SCRIPT, Told, ToldOfAll};
use shared::{Asking, Wanted};
use subject::{MAX_PARTS, Part, kind};
use tier::Tier;
pub use tier::{LimitRule, Tiers};

/// What requests are counted in and by.
#[derive(Clone, Copy)]
pub struct Limits<'a> {
    pub counters: &'a Counters,
    pub tiers: &'a Tiers,
    /// Use of the processors, for tiers that adapt to it.
    pub cpu_percent: u16,
}

/// Proof that the request was counted, or that nothing limits it. Only `acquire` makes one.
#[derive(Debug)]
pub struct Permit {
    grant: Grant,
    state: Option<LimitState>,
    more: Option<Box<More>>,
}

/// What only some requests have.
#[derive(Debug, Default)]
pub(crate) struct More {
    held: Held,
    debts: Debts,
    /// What only the shared store can judge. The permit proves nothing before it is answered.
    asking: Option<Asking>,
    /// What is to be taken of shared counts ahead of need.
    ahead: Vec<Wanted>,
}

impl Permit {
    pub fn grant(&self) -> &Grant {
        &self.grant
    }

    /// What the caller is told, of the tier that leaves it least. `None`: no tier, or admitted uncounted by `on_failure: open`.
    pub fn state(&self) -> Option<LimitState> {
        self.state
    }

    /// How long the request has to wait for its turn, and the tier that wants it so. Its place among those who wait is its
    /// own until `waited`.
    pub fn delay(&self) -> Option<(Duration, u32)> {
        let held = &self.more.as_ref()?.held;
        (held.delay_ms > 0).then(|| (Duration::from_millis(held.delay_ms), held.waits_for))
    }

    /// The shared store has to be asked before the request may go on.
    pub fn is_asking(&self) -> bool {
        self.more.as_ref().is_some_and(|more| more.asking.is_some())
    }

    /// What it is to be asked.
    pub fn lines(&self, limits: Limits<'_>) -> Lines {
        let asking = self.more.as_ref().and_then(|more| more.asking.as_ref());
        asking.map_or_else(Lines::new, |asking| asking.lines(limits))
    }

    /// The answer to that, or that there is none.
    pub fn answered(&mut self, limits: Limits<'_>, answer: &Answer, trail: &mut Trail) -> Answered {
        let asking = self.more.as_mut().and_then(|more| more.asking.take().map(|asking| (more, asking)));
        let Some((more, asking)) = asking else { return Answered { verdict: Ok(()), give_back: Vec::new() } };
        asking.end(limits, answer, (more, &mut self.state), trail)
    }

    /// What is to be taken of shared counts ahead of need, by and by.
    pub fn take_ahead(&mut self) -> Vec<Ahead> {
        let ahead = self.more.as_mut().map(|more| std::mem::take(&mut more.ahead));
        ahead.unwrap_or_default().into_iter().map(Ahead).collect()
    }

    pub fn waited(&mut self) {
        if let Some(more) = &mut self.more {
            more.held.seat = None;
        }
    }

    /// What is to be charged when the response is over.
    pub fn take_debts(&mut self) -> Option<Debts> {
        let debts = &mut self.more.as_mut()?.debts;
        (!debts.is_empty()).then(|| std::mem::take(debts))
    }
}

/// A block of a shared count that is to be taken ahead of need.
#[derive(Debug)]
pub struct Ahead(Wanted);

impl Ahead {
    pub fn line(&self, limits: Limits<'_>) -> Line {
        self.0.line(limits)
    }

    pub fn told(&self, limits: Limits<'_>, told: &Told) {
        self.0.keep(limits, told, 0);
    }
}

/// Counts the request in the tiers of the route, the first of which the caller's own replaces where that exists, or else its
/// tenant's; and in the quotas of its tenant. A refused request is not counted. Every tier leaves a step in the trail, but the one that the refusal speaks of.
pub fn acquire(
    limits: Limits<'_>,
    rule: Option<&LimitRule>,
    grant: Grant,
    (request, now_unix_ms): (&Request, u64),
    trail: &mut Trail,
) -> Result<Permit, Refusal> {
    let Some(rule) = rule else { return Ok(Permit { grant, state: None, more: None }) };
    let tenant = grant.tenant();
    let quotas = tenant.map_or(&[][..], |tenant| &tenant.terms.quotas);
    let own = own(limits.tiers, &grant);
    let service = &*rule.service;
    let name = tenant.map(|tenant| &*tenant.name);
    let asked = Asked { caller: grant.caller(), tenant: name, request, route: &rule.route, service };
    if rule.tiers.is_empty() && quotas.is_empty() {
        return Ok(Permit { grant, state: None, more: None });
    }
    if let ([first], true) = (&*rule.tiers, quotas.is_empty()) {
        let index = own.unwrap_or(*first);
        let tier = limits.tiers.get(index).ok_or(Refusal::Internal)?;
        if tier.is_plain {
            let state = one(limits, rule, (index, tier), &asked, now_unix_ms)?;
            if let Some(state) = &state {
                note(trail, "admitted", state);
            }
            return Ok(Permit { grant, state, more: None });
        }
        if tier.is_asked_alone {
            let more = sole(limits, rule, (index, tier), &asked, now_unix_ms)?;
            return Ok(Permit { grant, state: None, more: Some(more) });
        }
    }
    let (state, more) = several(limits, rule, (own, quotas), (&asked, now_unix_ms), trail)?;
    Ok(Permit { grant, state, more })
}

/// The tier of the key or the token, else that of the tenant.
fn own(tiers: &Tiers, grant: &Grant) -> Option<u32> {
    let named = grant.caller().tier.as_deref().and_then(|name| tiers.index(name));
    named.or_else(|| grant.tenant().and_then(|tenant| tenant.terms.tier))
}

/// The short way of a request with one tier that does nothing but count.
fn one(
    limits: Limits<'_>,
    rule: &LimitRule,
    (index, tier): (u32, &Tier),
    asked: &Asked<'_>,
    now_ms: u64,
) -> Result<Option<LimitState>, Refusal> {
    let mut parts: Parts<'_> = [Part::Global; MAX_PARTS];
    let subject = tier.scope.subject(asked, &mut parts);
    let key = Key { hash: limits.counters.hash(tier.key, subject), tier: tier.key, subject };
    let changed = tier.rule_at(now_ms, limits.cpu_percent);
    let ask = Ask {
        key,
        rule: changed.as_ref().unwrap_or(&tier.rule),
        penalty: tier.penalty.as_ref(),
        cost: Cost::of(rule.cost),
        now_ms,
    };
    match limits.counters.take(&ask, rule.evicts()) {
        Ok(reading) => judge(index, kind(subject), reading).map(Some),
        Err(Full) => rule.full().map(|()| None),
    }
}

/// Charges a request that has no caller, one that found no route or failed authentication (D1, D2), by its address,
/// unless the tier is one count for all. Where there is no room, the oldest counts make some.
pub fn charge_client(
    limits: Limits<'_>,
    tier: u32,
    client: IpAddr,
    now_unix_ms: u64,
) -> Result<LimitState, Refusal> {
    let asked = ask_client(limits, tier, client, now_unix_ms, |ask| limits.counters.take(ask, true).ok())?;
    asked.unwrap_or(Err(Refusal::LimiterUnavailable(LimiterFault::Full)))
}

/// Refuses an address that has nothing left in a tier. Charges nothing.
pub fn check_client(limits: Limits<'_>, tier: u32, client: IpAddr, now_unix_ms: u64) -> Result<(), Refusal> {
    let asked = ask_client(limits, tier, client, now_unix_ms, |ask| limits.counters.read(ask))?;
    asked.unwrap_or(Ok(LimitState::default())).map(|_| ())
}

type Judged = Result<LimitState, Refusal>;

fn ask_client(
    limits: Limits<'_>,
    index: u32,
    client: IpAddr,
    now_ms: u64,
    answer: impl FnOnce(&Ask<'_>) -> Option<Reading>,
) -> Result<Option<Judged>, Refusal> {
    let tier = limits.tiers.get(index).ok_or(Refusal::Internal)?;
    let subject = [tier.scope.client(client)];
    let key = Key { hash: limits.counters.hash(tier.key, &subject), tier: tier.key, subject: &subject };
    let changed = tier.rule_at(now_ms, limits.cpu_percent);
    let rule = changed.as_ref().unwrap_or(&tier.rule);
    let reading = answer(&Ask { key, rule, penalty: tier.penalty.as_ref(), cost: Cost::ONE, now_ms });
    Ok(reading.map(|reading| match judge(index, kind(&subject), reading) {
        Err(_) if tier.dry_run => Ok(LimitState::default()),
        judged => judged,
    }))
}

fn judge(index: u32, key: KeyKind, reading: Reading) -> Judged {
    let state = state(index, key, reading);
    match reading.verdict {
        Verdict::Admitted => Ok(state),
        // Who does not know is not asked here.
        Verdict::Refused | Verdict::Unknown => Err(Refusal::OverLimit(state)),
        Verdict::Banned => Err(Refusal::Banned(state)),
    }
}

fn state(tier: u32, key: KeyKind, reading: Reading) -> LimitState {
    let Reading { limit, remaining, reset, retry_after, .. } = reading;
    LimitState { tier, key, limit, remaining, reset, retry_after, by: CountedBy::Node }
}

impl LimitRule {
    /// What becomes of requests that nobody can count.
    pub fn on_failure(&self) -> OnFailure {
        self.on_failure
    }

    fn evicts(&self) -> bool {
        match self.on_failure {
            OnFailure::Local => true,
            OnFailure::Open | OnFailure::Closed => false,
        }
    }

    /// There is no room to count the request.
    fn full(&self) -> Result<(), Refusal> {
        match self.on_failure {
            OnFailure::Open => Ok(()),
            OnFailure::Closed | OnFailure::Local => Err(Refusal::LimiterUnavailable(LimiterFault::Full)),
        }
    }

    /// The tiers of a request: those of the route, the first replaced by the caller's own, and the quotas of its tenant;
    /// and those that they are within.
    fn chosen<'t>(
        &self,
        mut own: Option<u32>,
        quotas: &[u32],
        tiers: &'t Tiers,
    ) -> Result<Vec<(u32, &'t Tier)>, Refusal> {
        let mut list = Vec::with_capacity(MAX_TIERS);
        for index in &self.tiers {
            tiers.append(own.take().unwrap_or(*index), &mut list).ok_or(Refusal::Internal)?;
        }
        for index in quotas {
            tiers.append(*index, &mut list).ok_or(Refusal::Internal)?;
        }
        // `compile` has seen to it; whoever is beyond would not be counted.
        if list.len() > MAX_TIERS { Err(Refusal::Internal) } else { Ok(list) }
    }
}
