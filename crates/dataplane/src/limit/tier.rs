//! Tiers and the limits of routes, compiled.

use std::sync::Arc;

use hashbrown::HashMap;

use super::calendar::Calendar;
use super::counters::Counters;
use super::emergency::Emergency;
use super::offence::Penalty;
use super::plan::MAX_TIERS;
use super::rule::{Algorithm, Cost, Rule};
use super::scope::Scope;
use super::shared::Share;
use crate::snapshot::document::{
    AdaptiveDocument, CountsDocument, LimitAlgorithmDocument, OnFailure, RateLimitDocument, TierDocument,
};

const DAY_MS: u64 = 86_400_000;

/// The compiled tiers of a snapshot. They belong to the `Counters` they were compiled for.
#[derive(Debug, Default)]
pub struct Tiers {
    list: Vec<Tier>,
    by_name: HashMap<Box<str>, u32>,
    adapts: bool,
    has_trials: bool,
    /// Tiers that one of them stands for at most, itself and those that it is within.
    longest: usize,
    shares: bool,
}

#[derive(Debug)]
pub(super) struct Tier {
    /// What stands for its name in the counts.
    pub(super) key: u64,
    pub(super) name: Box<str>,
    pub(super) rule: Rule,
    pub(super) scope: Scope,
    pub(super) counts: CountsDocument,
    pub(super) penalty: Option<Penalty>,
    pub(super) dry_run: bool,
    pub(super) share: Share,
    /// The rule by which this node spends what it has taken ahead of a shared count, and what stands for the tier there.
    pub(super) lease: Option<Rule>,
    pub(super) lease_key: u64,
    /// Nothing about it needs more than one look at one counter.
    pub(super) is_plain: bool,
    /// Every request asks the store about it, and about nothing else.
    pub(super) is_asked_alone: bool,
    /// The tiers that it is within, the nearest first.
    pub(super) above: Box<[u32]>,
    pub(super) emergency: Arc<Emergency>,
    adaptive: Option<AdaptiveDocument>,
    calendar: Option<Calendar>,
    /// `RateLimit-Policy`, and what `RateLimit` begins with.
    policy: [Box<[u8]>; 2],
}

impl Tiers {
    /// Refuses a window of 0, repeated names, and numbers too large to reckon with. A limit of 0 admits nobody. Counts are
    /// found again by the tier's name, so they outlive snapshots, whatever else of the tier changes.
    pub fn compile(documents: &[TierDocument], counters: &Counters) -> Result<Self, String> {
        let mut tiers = Self::default();
        for (index, document) in (0..).zip(documents) {
            let place = |error: &str| format!("{}: tier `{}`: {error}", document.at, document.name);
            if tiers.by_name.insert(document.name.as_str().into(), index).is_some() {
                return Err(place("the name is repeated"));
            }
            let tier = Tier::compile(document, counters).map_err(|error| place(&error))?;
            tiers.adapts |= tier.adaptive.is_some();
            tiers.has_trials |= tier.dry_run;
            tiers.shares |= tier.share != Share::None;
            tiers.list.push(tier);
        }
        for (index, document) in documents.iter().enumerate() {
            let above = tiers.above(documents, document)?;
            tiers.longest = tiers.longest.max(1 + above.len());
            if let Some(tier) = tiers.list.get_mut(index) {
                tier.is_plain &= above.is_empty();
                tier.is_asked_alone &= above.is_empty();
                tier.above = above;
            }
        }
        Ok(tiers)
    }

    fn above(&self, documents: &[TierDocument], document: &TierDocument) -> Result<Box<[u32]>, String> {
        let place = |error: &str| format!("{}: tier `{}`: {error}", document.at, document.name);
        let (mut above, mut next) = (Vec::new(), document.within.as_deref());
        while let Some(name) = next {
            let index = self.index(name).ok_or_else(|| place(&format!("there is no tier `{name}`")))?;
            if name == document.name || above.contains(&index) {
                return Err(place("it is within itself"));
            }
            above.push(index);
            next = documents.get(index as usize).and_then(|other| other.within.as_deref());
        }
        Ok(above.into())
    }

    /// Appends a tier and those that it is within, each that is not in the list yet.
    pub(super) fn append<'t>(&'t self, index: u32, list: &mut Vec<(u32, &'t Tier)>) -> Option<()> {
        let tier = self.get(index)?;
        for one in std::iter::once(index).chain(tier.above.iter().copied()) {
            if !list.iter().any(|(other, _)| *other == one) {
                list.push((one, self.get(one)?));
            }
        }
        Some(())
    }

    /// Index in the snapshot of the tier with this name.
    pub fn index(&self, name: &str) -> Option<u32> {
        self.by_name.get(name).copied()
    }

    /// The name of the tier that this stands for in the counts.
    pub(super) fn name_of(&self, key: u64) -> Option<&str> {
        self.list.iter().find(|tier| tier.key == key).map(|tier| &*tier.name)
    }

    /// Does any limit depend on the use of the processors?
    pub fn adapts(&self) -> bool {
        self.adapts
    }

    /// Is any tier on trial?
    pub fn has_trials(&self) -> bool {
        self.has_trials
    }

    /// Is any tier counted together with other nodes?
    pub fn shares(&self) -> bool {
        self.shares
    }

    /// `RateLimit-Policy` of a tier, and the beginning of its `RateLimit`.
    pub fn policy(&self, index: u32) -> Option<[&[u8]; 2]> {
        self.get(index).map(|tier| tier.policy.each_ref().map(|text| &**text))
    }

    pub(super) fn get(&self, index: u32) -> Option<&Tier> {
        self.list.get(index as usize)
    }

    /// The tiers whose counts are to survive the process.
    pub(super) fn quotas(&self) -> impl Iterator<Item = &Tier> {
        self.list.iter().filter(|tier| tier.rule.algorithm == Algorithm::Quota)
    }
}

impl Tier {
    fn compile(document: &TierDocument, counters: &Counters) -> Result<Self, String> {
        let rule = rule(document)?;
        let calendar = match &document.algorithm {
            LimitAlgorithmDocument::Calendar(calendar) => Some(Calendar::compile(calendar)?),
            LimitAlgorithmDocument::SlidingWindow
            | LimitAlgorithmDocument::FixedWindow
            | LimitAlgorithmDocument::SlidingLog
            | LimitAlgorithmDocument::TokenBucket { .. }
            | LimitAlgorithmDocument::Gcra { .. }
            | LimitAlgorithmDocument::LeakyBucket { .. }
            | LimitAlgorithmDocument::Concurrency => None,
        };
        let is_simple = !matches!(rule.algorithm, Algorithm::Leaky | Algorithm::Concurrency);
        let share = Share::compile(document, &rule)?;
        let is_plain = is_simple
            && !document.dry_run
            && document.counts == CountsDocument::Requests
            && share == Share::None;
        Ok(Self {
            key: counters.tier_key(&document.name),
            name: document.name.as_str().into(),
            scope: Scope::compile(document)?,
            counts: document.counts.clone(),
            penalty: Penalty::compile(document)?,
            dry_run: document.dry_run,
            share,
            lease: share.lease(),
            lease_key: counters.lease_key(&document.name),
            is_plain,
            is_asked_alone: share == Share::Exact,
            above: Box::default(),
            emergency: counters.emergencies.get(&document.name),
            adaptive: document.adaptive,
            calendar,
            policy: policy(&document.name, &rule),
            rule,
        })
    }

    /// The rule of this moment, where it is another than `rule`: in the day or month of now, shrunk because the
    /// processors are used by so many percent, or set by hand for a while.
    pub(super) fn rule_at(&self, now_ms: u64, cpu_percent: u16) -> Option<Rule> {
        let by_hand = self.emergency.at(now_ms);
        if by_hand.is_none() && self.calendar.is_none() && self.adaptive.is_none() {
            return None;
        }
        let mut rule = by_hand.map_or(self.rule, |limit| self.rule.limited(limit));
        rule.period = self.calendar.as_ref().map(|calendar| calendar.period_at(now_ms));
        if let Some(adaptive) = &self.adaptive {
            let percent = left(adaptive, cpu_percent);
            let shrunk = |number: u64| (u128::from(number) * u128::from(percent) / 100) as u64;
            rule.limit = shrunk(rule.limit).max(rule.limit.min(1));
            rule.burst = shrunk(rule.burst).max(rule.burst.min(1));
        }
        Some(rule)
    }

    pub(super) fn is_charged_later(&self) -> bool {
        self.counts != CountsDocument::Requests
    }

    pub(super) fn cost(&self, weight: u64) -> Cost {
        match self.counts {
            CountsDocument::Requests => Cost::of(weight),
            CountsDocument::ResponseKib | CountsDocument::ResponseHeader(_) => Cost::LATER,
        }
    }
}

/// What is left of a limit, in percent: all of it up to the threshold, and from there evenly less down to the floor.
fn left(adaptive: &AdaptiveDocument, cpu_percent: u16) -> u16 {
    let (from, floor) = (adaptive.from_percent.min(99), adaptive.floor_percent.min(100));
    let over = cpu_percent.min(100).saturating_sub(from);
    100 - (u32::from(100 - floor) * u32::from(over) / u32::from(100 - from)) as u16
}

fn rule(document: &TierDocument) -> Result<Rule, String> {
    let (mut window_ms, mut burst, mut max_delay_ms) = (document.window_ms, 0, 0);
    let algorithm = match &document.algorithm {
        LimitAlgorithmDocument::SlidingWindow => Algorithm::SlidingWindow,
        LimitAlgorithmDocument::FixedWindow => Algorithm::FixedWindow,
        LimitAlgorithmDocument::SlidingLog => Algorithm::SlidingLog,
        LimitAlgorithmDocument::TokenBucket { burst: held }
        | LimitAlgorithmDocument::Gcra { burst: held } => {
            burst = *held;
            Algorithm::Bucket
        }
        LimitAlgorithmDocument::LeakyBucket { max_delay_ms: longest } => {
            max_delay_ms = *longest;
            Algorithm::Leaky
        }
        LimitAlgorithmDocument::Concurrency => {
            // Nothing of it depends on a window; one and the same, so that a change of it is none.
            window_ms = 1_000;
            Algorithm::Concurrency
        }
        LimitAlgorithmDocument::Calendar(_) => {
            window_ms = DAY_MS;
            Algorithm::Quota
        }
    };
    if window_ms == 0 {
        return Err("the window is empty".to_owned());
    }
    let fits = |one: u64, other: u64| one.checked_mul(other).is_some_and(|product| product < 1 << 63);
    if !fits(burst, window_ms) || !fits(max_delay_ms, document.limit) {
        return Err("its burst is too large for its window".to_owned());
    }
    Ok(Rule { algorithm, limit: document.limit, window_ms, burst, max_delay_ms, period: None })
}

/// A structured field: the names of tiers need no escape. A place is no quota of a time, so it has no window.
fn policy(name: &str, rule: &Rule) -> [Box<[u8]>; 2] {
    let window = rule.window_ms.div_ceil(1000);
    let text = match rule.algorithm {
        Algorithm::Concurrency => format!("\"{name}\";q={};qu=\"concurrent-requests\"", rule.limit),
        Algorithm::Bucket => format!("\"{name}\";q={};w={window}", rule.burst),
        Algorithm::SlidingWindow
        | Algorithm::FixedWindow
        | Algorithm::SlidingLog
        | Algorithm::Leaky
        | Algorithm::Quota
        | Algorithm::Lease => format!("\"{name}\";q={};w={window}", rule.limit),
    };
    [text.into_bytes().into(), format!("\"{name}\";r=").into_bytes().into()]
}

/// The limit of a route.
#[derive(Debug)]
pub struct LimitRule {
    pub(super) tiers: Box<[u32]>,
    pub(super) on_failure: OnFailure,
    pub(super) cost: u64,
    pub(super) charge_refused: bool,
    pub(super) route: Box<str>,
    pub(super) service: Box<str>,
}

impl LimitRule {
    /// Refuses a tier that does not exist, one that is named twice, and too many.
    pub fn compile(
        document: &RateLimitDocument,
        tiers: &Tiers,
        route: &str,
        service: &str,
    ) -> Result<Self, String> {
        let mut list = Vec::new();
        for name in &document.tiers {
            let index =
                tiers.index(name).ok_or_else(|| format!("{}: there is no tier `{name}`", document.at))?;
            if list.contains(&index) {
                return Err(format!("{}: tier `{name}` is named twice", document.at));
            }
            list.push(index);
        }
        if list.is_empty() {
            return Err(format!("{}: 0 tiers; 1 to {MAX_TIERS} would work", document.at));
        }
        let rule = Self {
            tiers: list.into(),
            on_failure: document.on_failure,
            cost: document.cost,
            charge_refused: document.charge_refused,
            route: route.into(),
            service: service.into(),
        };
        rule.check(tiers, &[]).map_err(|error| format!("{}: {error}", document.at))?;
        Ok(rule)
    }

    /// Of a route without a limit of its own, whose requests have the quotas of their tenants all the same.
    pub fn of_quotas(route: &str, service: &str) -> Self {
        Self {
            tiers: Box::default(),
            on_failure: OnFailure::Local,
            cost: 1,
            charge_refused: false,
            route: route.into(),
            service: service.into(),
        }
    }

    /// Refuses where a request with these quotas could have more tiers than are decided together, whichever takes the place
    /// of the first.
    pub fn check(&self, tiers: &Tiers, quotas: &[u32]) -> Result<(), String> {
        let mut list = Vec::new();
        for index in self.tiers.iter().skip(1).chain(quotas) {
            tiers.append(*index, &mut list);
        }
        let first = if self.tiers.is_empty() { 0 } else { tiers.longest };
        let most = first + list.len();
        if most > MAX_TIERS {
            Err(format!("up to {most} tiers on a request; at most {MAX_TIERS} work"))
        } else {
            Ok(())
        }
    }
}
