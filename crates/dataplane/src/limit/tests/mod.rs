//! Limits as a caller meets them. What tests share stands here.

mod algorithms;
mod bounds;
mod nested;
mod penalties;
mod plans;
mod several;
mod shared;
mod tiers;
mod window;

use std::sync::Arc;

use super::*;
use crate::authorize::{self, Policy};
use crate::caller::{Caller, CallerKind};
use crate::snapshot::document::{
    CountsDocument, LimitAlgorithmDocument, OnFailure, PerDocument, RateLimitDocument, ShareDocument,
    TierDocument,
};

const MINUTE: u64 = 60_000;
/// 12:00:00 of some day: the beginning of a minute.
const NOON: u64 = 1_800_014_400_000;

fn tier(name: &str, limit: u64, per: PerDocument) -> TierDocument {
    TierDocument {
        name: name.to_owned(),
        at: "gateway.yaml:9:3".to_owned(),
        limit,
        window_ms: MINUTE,
        per: vec![per],
        algorithm: LimitAlgorithmDocument::SlidingWindow,
        ipv6_prefix: 64,
        counts: CountsDocument::Requests,
        dry_run: false,
        adaptive: None,
        ban: None,
        max_retry_after_ms: 0,
        within: None,
        share: ShareDocument::None,
    }
}

fn rate_limit(tiers: &[&str]) -> RateLimitDocument {
    RateLimitDocument {
        at: "gateway.yaml:20:5".to_owned(),
        tiers: tiers.iter().map(|name| (*name).to_owned()).collect(),
        on_failure: OnFailure::Local,
        cost: 1,
        charge_refused: false,
    }
}

fn grant(caller: Caller) -> Grant {
    let request = Request::new(CLIENT);
    let asked = authorize::Asked { request: &request, parameters: &[], tenant: None, unix_ms: 0 };
    authorize::grant(&Policy::default(), Arc::new(caller), asked).unwrap()
}

fn user(name: &str) -> Grant {
    grant(Caller { user: Some(name.into()), ..Caller::new(CallerKind::User, Some(0), Vec::new()) })
}

fn partner(id: &str, tier: Option<&str>) -> Grant {
    let caller = Caller::new(CallerKind::Partner, Some(1), Vec::new());
    grant(Caller { key_id: Some(id.into()), tier: tier.map(Into::into), ..caller })
}

fn nobody() -> Grant {
    grant(Caller::anonymous())
}

const CLIENT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 7));

/// Counters and tiers of one test.
struct Bench {
    counters: Counters,
    tiers: Tiers,
    on_failure: OnFailure,
    cpu_percent: u16,
}

impl Bench {
    fn new(tiers: &[TierDocument]) -> Self {
        Self::bounded(tiers, 10_000)
    }

    fn bounded(tiers: &[TierDocument], maximum: usize) -> Self {
        let counters = Counters::new(maximum);
        counters.set_max_waiting(100);
        let tiers = Tiers::compile(tiers, &counters).unwrap();
        Self { counters, tiers, on_failure: OnFailure::Local, cpu_percent: 0 }
    }

    fn change(&mut self, tiers: &[TierDocument]) {
        self.tiers = Tiers::compile(tiers, &self.counters).unwrap();
    }

    fn limits(&self) -> Limits<'_> {
        Limits { counters: &self.counters, tiers: &self.tiers, cpu_percent: self.cpu_percent }
    }

    fn rule(&self, document: RateLimitDocument) -> LimitRule {
        LimitRule::compile(&document, &self.tiers, "orders", "shop").unwrap()
    }

    /// As a request that is over at once.
    fn ask(&self, tier: &str, grant: Grant, client: IpAddr, now: u64) -> Result<Option<LimitState>, Refusal> {
        let rule = self.rule(RateLimitDocument { on_failure: self.on_failure, ..rate_limit(&[tier]) });
        self.begin(&rule, grant, client, now).map(|permit| permit.state())
    }

    /// As a request that goes on while its permit is kept.
    fn begin(&self, rule: &LimitRule, grant: Grant, client: IpAddr, now: u64) -> Result<Permit, Refusal> {
        let request = Request::new(client);
        acquire(self.limits(), Some(rule), grant, (&request, now), &mut Trail::default())
    }

    fn admitted(&self, tier: &str, grant: &Grant, now: u64, requests: usize) -> usize {
        (0..requests).filter(|_| self.ask(tier, grant.clone(), CLIENT, now).is_ok()).count()
    }
}
