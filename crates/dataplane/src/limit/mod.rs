//! Limit: may this caller go on now?
//! Takes a `Grant` and the route's `LimitRule`. Gives a `Permit`. Refuses with `OverLimit`, and with
//! `LimiterUnavailable` where there is no room to count and the route fails closed.

mod counters;
mod shard;
mod subject;
mod window;

#[cfg(test)]
mod tests;
#[cfg(test)]
mod window_tests;

use std::net::IpAddr;

use hashbrown::HashMap;

use crate::authorize::Grant;
use crate::refusal::{LimitState, Refusal};
use crate::snapshot::document::{OnFailure, PerDocument, RateLimitDocument, TierDocument};
use counters::TierKey;
pub use counters::{Counters, Usage};
use subject::Subject;
use window::{Allowance, Reading};

/// The compiled tiers of a snapshot. They belong to the `Counters` they were compiled for.
#[derive(Debug, Default)]
pub struct Tiers {
    list: Vec<Tier>,
    by_name: HashMap<Box<str>, u32>,
}

#[derive(Debug)]
struct Tier {
    key: TierKey,
    per: PerDocument,
}

impl Tiers {
    /// Refuses a window of 0 and repeated names. A limit of 0 admits nobody. Counts are found again by the tier's name
    /// and window, so they outlive snapshots; a tier whose window changed begins afresh.
    pub fn compile(documents: &[TierDocument], counters: &Counters) -> Result<Self, String> {
        let mut tiers = Self::default();
        for (index, document) in (0..).zip(documents) {
            let place = |error: &str| format!("{}: tier `{}`: {error}", document.at, document.name);
            if document.window_ms == 0 {
                return Err(place("the window is empty"));
            }
            if tiers.by_name.insert(document.name.as_str().into(), index).is_some() {
                return Err(place("the name is repeated"));
            }
            let allowance = Allowance { limit: document.limit, window_ms: document.window_ms };
            let key = TierKey { tier: counters.tier_key(&document.name), allowance };
            tiers.list.push(Tier { key, per: document.per });
        }
        Ok(tiers)
    }

    /// Index in the snapshot of the tier with this name.
    pub fn index(&self, name: &str) -> Option<u32> {
        self.by_name.get(name).copied()
    }

    fn get(&self, index: u32) -> Option<&Tier> {
        self.list.get(index as usize)
    }
}

/// The limit of a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitRule {
    tier: u32,
    on_failure: OnFailure,
}

impl LimitRule {
    /// Refuses a tier that does not exist.
    pub fn compile(document: &RateLimitDocument, tiers: &Tiers) -> Result<Self, String> {
        let tier = tiers
            .index(&document.tier)
            .ok_or_else(|| format!("{}: there is no tier `{}`", document.at, document.tier))?;
        Ok(Self { tier, on_failure: document.on_failure })
    }
}

/// What requests are counted in and by.
#[derive(Clone, Copy)]
pub struct Limits<'a> {
    pub counters: &'a Counters,
    pub tiers: &'a Tiers,
}

/// Proof that the request was counted, or that nothing limits it. Only `acquire` makes one.
#[derive(Clone, Debug)]
pub struct Permit {
    grant: Grant,
    state: Option<LimitState>,
}

impl Permit {
    pub fn grant(&self) -> &Grant {
        &self.grant
    }

    /// What the caller is told. `None`: no tier, or admitted uncounted by `on_failure: open`.
    pub fn state(&self) -> Option<LimitState> {
        self.state
    }
}

/// Counts the request in the route's tier, or in the caller's own where that exists. A refused request is not counted.
pub fn acquire(
    limits: Limits<'_>,
    rule: Option<&LimitRule>,
    grant: Grant,
    client: IpAddr,
    now_unix_ms: u64,
) -> Result<Permit, Refusal> {
    let Some(rule) = rule else { return Ok(Permit { grant, state: None }) };
    let own = grant.caller().tier.as_deref().and_then(|name| limits.tiers.index(name));
    let index = own.unwrap_or(rule.tier);
    let tier = limits.tiers.get(index).ok_or(Refusal::Internal)?;
    let subject = Subject::of(tier.per, grant.caller(), client);
    let evict = match rule.on_failure {
        OnFailure::Local => true,
        OnFailure::Open | OnFailure::Closed => false,
    };
    let state = match limits.counters.take(tier.key, subject, now_unix_ms, evict) {
        Ok(reading) => Some(judge(index, tier, reading)?),
        Err(shard::Full) => match rule.on_failure {
            OnFailure::Open => None,
            OnFailure::Closed | OnFailure::Local => return Err(Refusal::LimiterUnavailable),
        },
    };
    Ok(Permit { grant, state })
}

/// Counts a request that has no caller, one that found no route or failed authentication (D1, D2), by its address,
/// unless the tier is one count for all. Where there is no room, the oldest counts make some.
pub fn charge_client(
    limits: Limits<'_>,
    tier: u32,
    client: IpAddr,
    now_unix_ms: u64,
) -> Result<LimitState, Refusal> {
    let index = tier;
    let tier = limits.tiers.get(index).ok_or(Refusal::Internal)?;
    let subject = match tier.per {
        PerDocument::Global => Subject::Global,
        PerDocument::User | PerDocument::ApiKey | PerDocument::ClientIp => Subject::client(client),
    };
    let reading = limits.counters.take(tier.key, subject, now_unix_ms, true);
    judge(index, tier, reading.map_err(|shard::Full| Refusal::LimiterUnavailable)?)
}

fn judge(index: u32, tier: &Tier, reading: Reading) -> Result<LimitState, Refusal> {
    let Reading { is_admitted, remaining, reset, retry_after } = reading;
    let state = LimitState { tier: index, limit: tier.key.allowance.limit, remaining, reset, retry_after };
    if is_admitted { Ok(state) } else { Err(Refusal::OverLimit(state)) }
}
