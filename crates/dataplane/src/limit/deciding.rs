//! One request with several tiers, or with one that does more than count on this node.

use super::counters::Counters;
use super::plan::{self, Item, MAX_TIERS, Policy};
use super::reading::{Reading, Verdict};
use super::scope::{Asked, Parts};
use super::shard::{Ask, Full, Key};
use super::shared::{Asking, Given, Share, Wanted, WantedOfAll};
use super::subject::{MAX_PARTS, Part, kind};
use super::tier::{LimitRule, Tier, Tiers};
use super::{Limits, More, judge, state};
use crate::refusal::{CountedBy, KeyKind, LimitState, Refusal};
use crate::trail::{Rule as Named, Stage, Trail};

/// The verdict of a tier on trial that would have refused a request.
pub const WOULD_REFUSE: &str = "would_refuse";

type Admitted = (Option<LimitState>, Option<Box<More>>);

/// What one tier has said of a request.
pub(super) struct Said {
    state: LimitState,
    reading: Reading,
    dry_run: bool,
}

impl Said {
    pub(super) fn new(tier: u32, key: KeyKind, reading: Reading, dry_run: bool) -> Self {
        Self { state: state(tier, key, reading), reading, dry_run }
    }

    pub(super) fn of(item: &Item<'_>) -> Self {
        let by = if item.is_leased { CountedBy::Lease } else { CountedBy::Node };
        Self::new(item.tier, kind(item.ask.key.subject), item.reading, item.dry_run).by(by)
    }

    pub(super) fn by(mut self, by: CountedBy) -> Self {
        self.state.by = by;
        self
    }

    pub(super) fn lets_pass(&self) -> bool {
        self.dry_run || self.reading.is_admitted()
    }
}

/// Any number of tiers of any kind. What only the shared store can judge is left in what is given.
pub(super) fn several(
    limits: Limits<'_>,
    rule: &LimitRule,
    (own, quotas): (Option<u32>, &[u32]),
    (asked, now_ms): (&Asked<'_>, u64),
    trail: &mut Trail,
) -> Result<Admitted, Refusal> {
    let mut parts: [Parts<'_>; MAX_TIERS] = [[Part::Global; MAX_PARTS]; MAX_TIERS];
    let chosen: Vec<(u32, &Tier)> = rule.chosen(own, quotas, limits.tiers)?;
    let now = |tier: &Tier| tier.rule_at(now_ms, limits.cpu_percent).unwrap_or(tier.rule);
    let rules: Vec<_> = chosen.iter().map(|(_, tier)| now(tier)).collect();
    let mut items: Vec<Item<'_>> = Vec::with_capacity(chosen.len());
    let mut wanted = WantedOfAll::new();
    for (((index, tier), parts), now) in chosen.iter().zip(&mut parts).zip(&rules) {
        let subject = tier.scope.subject(asked, parts);
        let key = Key { hash: limits.counters.hash(tier.key, subject), tier: tier.key, subject };
        let ask = Ask { key, rule: now, penalty: tier.penalty.as_ref(), cost: tier.cost(rule.cost), now_ms };
        let Some(ask) = shared(limits.counters, (*index, tier), ask, &mut wanted)? else { continue };
        let item = Item::new(limits.counters, *index, ask, tier.dry_run);
        items.push(Item { is_leased: tier.lease.is_some(), ..item });
    }
    let policy = Policy { evict: rule.evicts(), charge_refused: rule.charge_refused };
    let held = match plan::decide(limits.counters, &mut items, policy) {
        Ok(Some(held)) => held,
        Ok(None) => return Err(refused(&said(&items), trail)),
        Err(Full) => return rule.full().map(|()| (None, None)),
    };
    let ahead = lease(limits, &items, &mut wanted);
    let state = admitted(&said(&items), trail);
    let mut more = Box::new(More { held, ..More::default() });
    owe(limits.tiers, &items, &mut more);
    more.ahead = ahead;
    if !wanted.is_empty() {
        let given = items.iter().filter(|item| item.reading.is_admitted()).map(|item| Given::of(&item.ask));
        more.asking = Some(Asking::new(wanted, given.collect(), rule));
    }
    Ok((state, Some(more)))
}

/// The short way of a request with one tier that only the shared store can judge.
pub(super) fn sole(
    limits: Limits<'_>,
    rule: &LimitRule,
    (index, tier): (u32, &Tier),
    asked: &Asked<'_>,
    now_ms: u64,
) -> Result<Box<More>, Refusal> {
    let mut parts: Parts<'_> = [Part::Global; MAX_PARTS];
    let subject = tier.scope.subject(asked, &mut parts);
    let key = Key { hash: limits.counters.hash(tier.key, subject), tier: tier.key, subject };
    let now = tier.rule_at(now_ms, limits.cpu_percent).unwrap_or(tier.rule);
    let ask = Ask { key, rule: &now, penalty: tier.penalty.as_ref(), cost: tier.cost(rule.cost), now_ms };
    let mut wanted = WantedOfAll::new();
    shared(limits.counters, (index, tier), ask, &mut wanted)?;
    let asking = Some(Asking::new(wanted, Vec::new(), rule));
    Ok(Box::new(More { asking, ..More::default() }))
}

/// What is asked on this node of a tier: its count, or what was taken ahead of a shared one. `None`: nothing, the shared
/// store has to be asked.
fn shared<'a>(
    counters: &Counters,
    (index, tier): (u32, &'a Tier),
    ask: Ask<'a>,
    wanted: &mut WantedOfAll,
) -> Result<Option<Ask<'a>>, Refusal> {
    if tier.share == Share::None {
        return Ok(Some(ask));
    }
    // Bans are this node's own, so that a banned caller costs the store nothing.
    if let Some(banned) = counters.banned(&ask) {
        return judge(index, kind(ask.key.subject), banned).map(|_| None);
    }
    let Some(lease) = &tier.lease else {
        wanted.push(Wanted::new((index, tier), &ask, *ask.rule, 0));
        return Ok(None);
    };
    let key = Key { hash: counters.hash(tier.lease_key, ask.key.subject), tier: tier.lease_key, ..ask.key };
    Ok(Some(Ask { key, rule: lease, penalty: None, ..ask }))
}

/// Which leases have to be asked for, and which, beyond what this request needs, in good time.
fn lease(limits: Limits<'_>, items: &[Item<'_>], wanted: &mut WantedOfAll) -> Vec<Wanted> {
    let mut ahead = Vec::new();
    for item in items.iter().filter(|item| item.is_leased) {
        let Some(tier) = limits.tiers.get(item.tier) else { continue };
        let is_unknown = item.reading.verdict == Verdict::Unknown;
        if !is_unknown && !item.reading.is_admitted() {
            continue;
        }
        let block = item.ask.rule.limit;
        let claimed = limits.counters.lease(&item.ask, |lease| lease.claim(block, item.ask.now_ms)).flatten();
        let rule = tier.rule_at(item.ask.now_ms, limits.cpu_percent).unwrap_or(tier.rule);
        let want = Wanted::new((item.tier, tier), &item.ask, rule, claimed.unwrap_or(0));
        if is_unknown {
            wanted.push(want);
        } else if claimed.is_some() {
            ahead.push(want.ahead_only());
        }
    }
    ahead
}

fn said(items: &[Item<'_>]) -> Vec<Said> {
    items.iter().filter(|item| item.reading.verdict != Verdict::Unknown).map(Said::of).collect()
}

fn owe(tiers: &Tiers, items: &[Item<'_>], more: &mut More) {
    for item in items.iter().filter(|item| item.reading.is_admitted()) {
        if tiers.get(item.tier).is_some_and(Tier::is_charged_later) {
            more.debts.owe(item.tier, &item.ask.key);
        }
    }
}

/// Notes what every tier said; gives the tightest.
pub(super) fn admitted(said: &[Said], trail: &mut Trail) -> Option<LimitState> {
    let mut tightest: Option<LimitState> = None;
    for one in said {
        if !one.reading.is_admitted() {
            note(trail, WOULD_REFUSE, &one.state);
            continue;
        }
        note(trail, "admitted", &one.state);
        if !one.dry_run && tightest.is_none_or(|other| one.state.remaining < other.remaining) {
            tightest = Some(one.state);
        }
    }
    tightest
}

/// The refusal by the tier that takes longest to admit; the others leave their steps.
pub(super) fn refused(said: &[Said], trail: &mut Trail) -> Refusal {
    let refusing = said.iter().filter(|one| !one.lets_pass());
    let Some(worst) = refusing.max_by_key(|one| one.reading.retry_after) else { return Refusal::Internal };
    for one in said.iter().filter(|one| one.state.tier != worst.state.tier) {
        let verdict = match (one.reading.is_admitted(), one.dry_run) {
            (true, _) => "would_admit",
            (false, true) => WOULD_REFUSE,
            (false, false) => "refused",
        };
        note(trail, verdict, &one.state);
    }
    if worst.reading.verdict == Verdict::Banned {
        return Refusal::Banned(worst.state);
    }
    Refusal::OverLimit(worst.state)
}

pub(super) fn note(trail: &mut Trail, verdict: &'static str, state: &LimitState) {
    let mut inputs = trail.inputs().number("limit", state.limit).number("remaining", state.remaining);
    if let Some(by) = state.by.text() {
        inputs = inputs.fixed("counted_by", by);
    }
    trail.push(Stage::Limit, verdict, Named::Tier(state.tier), inputs);
}
