//! What a request still has to ask the shared store, and what becomes of it when the store has answered or has not.

use smallvec::SmallVec;

use super::lease::Spent;
use super::line::{self, Line, Lines, Mode, Told, ToldOfAll};
use crate::limit::deciding::{Said, admitted, refused};
use crate::limit::plan::{self, Item, Policy};
use crate::limit::reading::Reading;
use crate::limit::rule::{Cost, Rule};
use crate::limit::shard::{Ask, Key};
use crate::limit::subject::{Owned, Part, kind};
use crate::limit::tier::{LimitRule, Tier};
use crate::limit::{Limits, More};
use crate::refusal::{CountedBy, LimitState, LimiterFault, Refusal};
use crate::snapshot::document::OnFailure;
use crate::trail::Trail;

/// What came of asking.
#[derive(Debug)]
pub enum Answer {
    /// One for each line, in their order.
    Told(ToldOfAll),
    /// The store is not to be asked, or did not answer. So many nodes share what it counts.
    Nobody { nodes: u32 },
    /// An operator wants it so. Each of so many nodes counts its share, or nobody counts.
    Bypassed { nodes: Option<u32> },
    /// There is no store here: the node counts as if it were alone.
    Alone,
}

/// What is to be done next.
#[derive(Debug)]
pub struct Answered {
    pub verdict: Result<(), Refusal>,
    /// To be told to the store, by and by: what it has charged for a request that did not pass.
    pub give_back: Vec<Line>,
}

/// Of all tiers of a request; mostly there is one.
pub(in crate::limit) type WantedOfAll = SmallVec<[Wanted; 1]>;

/// The questions of one request.
#[derive(Debug)]
pub(in crate::limit) struct Asking {
    pub(in crate::limit) wanted: WantedOfAll,
    /// Charged on this node already.
    pub(in crate::limit) given: Vec<Given>,
    on_failure: OnFailure,
}

/// One tier that only the store can judge.
#[derive(Clone, Debug)]
pub(in crate::limit) struct Wanted {
    tier: u32,
    subject: Owned,
    rule: Rule,
    cost: Cost,
    /// What is to be taken beyond the cost, if there is so much.
    ahead: u64,
    is_leased: bool,
    dry_run: bool,
    now_ms: u64,
}

/// What one tier of this node was charged for a request that waits for the store.
#[derive(Clone, Debug)]
pub(in crate::limit) struct Given {
    tier: u64,
    hash: u64,
    subject: Owned,
    rule: Rule,
    cost: u64,
    now_ms: u64,
}

impl Given {
    pub(in crate::limit) fn of(ask: &Ask<'_>) -> Self {
        let Key { hash, tier, subject } = ask.key;
        let (rule, cost, now_ms) = (*ask.rule, ask.cost.charged, ask.now_ms);
        Self { tier, hash, subject: Owned::of(subject), rule, cost, now_ms }
    }

    fn give_back(&self, limits: Limits<'_>) {
        let parts = borrowed(&self.subject);
        let key = Key { hash: self.hash, tier: self.tier, subject: &parts };
        let cost = Cost { needed: 1, charged: self.cost };
        let ask = Ask { key, rule: &self.rule, penalty: None, cost, now_ms: self.now_ms };
        limits.counters.give_back(&ask);
    }
}

fn borrowed(subject: &Owned) -> Vec<Part<&str>> {
    subject.parts().iter().map(Part::borrow).collect()
}

impl Wanted {
    pub(in crate::limit) fn new((tier, found): (u32, &Tier), ask: &Ask<'_>, rule: Rule, ahead: u64) -> Self {
        Self {
            tier,
            subject: Owned::of(ask.key.subject),
            rule,
            cost: ask.cost,
            ahead,
            is_leased: found.lease.is_some(),
            dry_run: found.dry_run,
            now_ms: ask.now_ms,
        }
    }

    /// For a block alone: no request waits for the answer.
    pub(in crate::limit) fn ahead_only(self) -> Self {
        Self { cost: Cost { needed: 1, charged: 0 }, ..self }
    }

    pub(in crate::limit) fn line(&self, limits: Limits<'_>) -> Line {
        let name = limits.tiers.get(self.tier).map_or("", |tier| &*tier.name);
        let line = Line::new(line::key(&self.subject, name), &self.rule);
        let charged = i64::try_from(self.cost.charged).unwrap_or(i64::MAX);
        let block = if self.ahead > 0 { self.ahead.max(self.cost.charged) } else { 0 };
        let mode = if self.dry_run { Mode::Trial } else { Mode::Normal };
        Line { needed: self.cost.needed, charged, block, mode, ..line }
    }

    /// What is told of a count that is charged when all is over.
    pub(in crate::limit) fn late(mut self, charged: u64, limits: Limits<'_>) -> Line {
        self.cost = Cost { needed: 0, charged };
        Line { mode: Mode::Forced, ..self.line(limits) }
    }

    fn said(&self, reading: Reading, by: CountedBy) -> Said {
        Said::new(self.tier, kind(self.subject.parts()), reading, self.dry_run).by(by)
    }

    /// Does something with this tier's count on this node.
    fn on_node<T>(&self, limits: Limits<'_>, rule: &Rule, act: impl FnOnce(&Ask<'_>) -> T) -> Option<T> {
        let tier = limits.tiers.get(self.tier)?;
        let parts = borrowed(&self.subject);
        let key = Key { hash: limits.counters.hash(tier.key, &parts), tier: tier.key, subject: &parts };
        let penalty = tier.penalty.as_ref();
        Some(act(&Ask { key, rule, penalty, cost: self.cost, now_ms: self.now_ms }))
    }

    /// Keeps what was taken ahead.
    pub(in crate::limit) fn keep(&self, limits: Limits<'_>, told: &Told, spent: u64) {
        let Some(tier) = limits.tiers.get(self.tier) else { return };
        let Some(rule) = &tier.lease else { return };
        let parts = borrowed(&self.subject);
        let hash = limits.counters.hash(tier.lease_key, &parts);
        let key = Key { hash, tier: tier.lease_key, subject: &parts };
        let ask = Ask { key, rule, penalty: None, cost: self.cost, now_ms: self.now_ms };
        let answered = Spent { spent, has_claimed: self.ahead > 0, now_ms: self.now_ms };
        limits.counters.lease(&ask, |lease| lease.told(told, answered, &self.rule));
    }

    /// What the store has said of it, with the penalties of this node.
    fn judged(&self, limits: Limits<'_>, told: &Told) -> Reading {
        let reading = told.reading(&self.rule);
        if limits.tiers.get(self.tier).is_none_or(|tier| tier.penalty.is_none()) {
            return reading;
        }
        let after = |ask: &Ask<'_>| limits.counters.penalize(ask, reading);
        self.on_node(limits, &self.rule, after).unwrap_or(reading)
    }
}

impl Asking {
    pub(in crate::limit) fn new(wanted: WantedOfAll, given: Vec<Given>, rule: &LimitRule) -> Self {
        Self { wanted, given, on_failure: rule.on_failure }
    }

    pub(in crate::limit) fn lines(&self, limits: Limits<'_>) -> Lines {
        self.wanted.iter().map(|wanted| wanted.line(limits)).collect()
    }

    /// Ends the asking: the request may pass, or what it was charged is given back.
    pub(in crate::limit) fn end(
        self,
        limits: Limits<'_>,
        answer: &Answer,
        (more, state): (&mut More, &mut Option<LimitState>),
        trail: &mut Trail,
    ) -> Answered {
        let mut give_back = Vec::new();
        let ended = match answer {
            Answer::Told(told) if told.len() == self.wanted.len() => {
                let ended = self.told(limits, told, more, trail);
                if ended.is_err() || !self.all_pass(told) {
                    give_back = self.charged(limits, told);
                }
                ended
            }
            // Whatever it was, it was no answer.
            Answer::Told(_) => self.failed(limits, 1, more, trail),
            Answer::Nobody { nodes } => self.failed(limits, *nodes, more, trail),
            Answer::Bypassed { nodes: None } => Ok(None),
            Answer::Bypassed { nodes: Some(nodes) } => {
                self.alone(limits, *nodes, CountedBy::Share, (more, trail))
            }
            Answer::Alone => self.alone(limits, 1, CountedBy::Node, (more, trail)),
        };
        match ended {
            Ok(tightest) => {
                *state = tighter(*state, tightest);
                Answered { verdict: Ok(()), give_back }
            }
            Err(refusal) => {
                self.given.iter().for_each(|given| given.give_back(limits));
                Answered { verdict: Err(refusal), give_back }
            }
        }
    }

    fn all_pass(&self, told: &[Told]) -> bool {
        self.wanted.iter().zip(told).all(|(wanted, told)| told.passes || wanted.dry_run)
    }

    fn told(
        &self,
        limits: Limits<'_>,
        told: &[Told],
        more: &mut More,
        trail: &mut Trail,
    ) -> Result<Option<LimitState>, Refusal> {
        let passes = self.all_pass(told);
        let mut said = SmallVec::<[Said; 1]>::with_capacity(told.len());
        for (wanted, told) in self.wanted.iter().zip(told) {
            let mut reading = wanted.judged(limits, told);
            if wanted.is_leased {
                wanted.keep(limits, told, if passes { wanted.cost.charged } else { 0 });
            }
            if passes && !wanted.dry_run && !more.held.sit(limits.counters, wanted.tier, &reading) {
                reading = reading.crowded();
            }
            said.push(wanted.said(reading, CountedBy::Redis));
        }
        if !said.iter().all(Said::lets_pass) {
            return Err(refused(&said, trail));
        }
        self.owe(limits, more);
        Ok(admitted(&said, trail))
    }

    /// What the store has charged a request that does not pass. Of a block nothing: it is kept and spent on others.
    fn charged(&self, limits: Limits<'_>, told: &[Told]) -> Vec<Line> {
        let charged =
            self.wanted.iter().zip(told).filter(|(wanted, told)| told.charged > 0 && !wanted.is_leased);
        charged
            .map(|(wanted, told)| {
                let charged = -i64::try_from(told.charged).unwrap_or(0);
                Line { needed: 0, charged, block: 0, mode: Mode::Forced, ..wanted.line(limits) }
            })
            .collect()
    }

    /// Nobody has answered: what the route wants then.
    fn failed(
        &self,
        limits: Limits<'_>,
        nodes: u32,
        more: &mut More,
        trail: &mut Trail,
    ) -> Result<Option<LimitState>, Refusal> {
        match self.on_failure {
            OnFailure::Open => Ok(None),
            OnFailure::Closed if self.wanted.iter().all(|wanted| wanted.dry_run) => Ok(None),
            OnFailure::Closed => Err(Refusal::LimiterUnavailable(LimiterFault::Store)),
            OnFailure::Local => self.alone(limits, nodes, CountedBy::Share, (more, trail)),
        }
    }

    /// Counts on this node, with its part of each limit.
    fn alone(
        &self,
        limits: Limits<'_>,
        nodes: u32,
        by: CountedBy,
        (more, trail): (&mut More, &mut Trail),
    ) -> Result<Option<LimitState>, Refusal> {
        let subjects: Vec<Vec<Part<&str>>> =
            self.wanted.iter().map(|wanted| borrowed(&wanted.subject)).collect();
        let rules: Vec<Rule> = self.wanted.iter().map(|wanted| wanted.rule.shared_by(nodes)).collect();
        let mut items = Vec::with_capacity(rules.len());
        for ((wanted, subject), rule) in self.wanted.iter().zip(&subjects).zip(&rules) {
            let tier = limits.tiers.get(wanted.tier).ok_or(Refusal::Internal)?;
            let key = Key { hash: limits.counters.hash(tier.key, subject), tier: tier.key, subject };
            let penalty = tier.penalty.as_ref();
            let ask = Ask { key, rule, penalty, cost: wanted.cost, now_ms: wanted.now_ms };
            items.push(Item::new(limits.counters, wanted.tier, ask, wanted.dry_run));
        }
        let policy = Policy { evict: true, charge_refused: false };
        let full = |_| Refusal::LimiterUnavailable(LimiterFault::Full);
        let held = plan::decide(limits.counters, &mut items, policy).map_err(full)?;
        let said: Vec<Said> = items.iter().map(|item| Said::of(item).by(by)).collect();
        let Some(held) = held else { return Err(refused(&said, trail)) };
        more.held.join(held);
        self.owe(limits, more);
        Ok(admitted(&said, trail))
    }

    /// What the request pays when it is over.
    fn owe(&self, limits: Limits<'_>, more: &mut More) {
        for wanted in &self.wanted {
            if limits.tiers.get(wanted.tier).is_some_and(Tier::is_charged_later) {
                wanted.on_node(limits, &wanted.rule, |ask| more.debts.owe(wanted.tier, &ask.key));
            }
        }
    }
}

fn tighter(one: Option<LimitState>, other: Option<LimitState>) -> Option<LimitState> {
    match (one, other) {
        (Some(one), Some(other)) if other.remaining < one.remaining => Some(other),
        (Some(one), _) => Some(one),
        (None, other) => other,
    }
}
