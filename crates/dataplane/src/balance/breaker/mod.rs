//! The circuit breaker (requirements BH-9 to BH-20, D10 to D13).
//!
//! Closed: requests pass and are counted; at first, after it was open, only a growing share of them. Open: nothing passes
//! before a deadline. Half open: a few probes at a time; enough successes in a row close it, failures open it again.
//! Settings are an argument, so a reload changes them without losing the state.

mod hand;
mod history;
mod inner;
mod probes;
mod ramp;
mod rules;
mod window;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

pub use hand::{BreakerChange, BreakerHold};
pub use history::{BreakerCount, BreakerReason, BreakerState, BreakerTransition};
pub use window::Tally;

use crate::refusal::Unavailable;
use inner::{Inner, Phase};
use probes::{Next, Probes};
pub(super) use rules::Rules;
pub(super) use window::Call;

/// Leave to send one request; comes back with its outcome. It belongs to one stretch between two transitions:
/// what was sent in an older stretch says nothing about this one and is not counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ticket {
    stretch: u64,
    /// Of a probe; 0: it is none.
    probe: u32,
}

impl Ticket {
    pub(super) fn is_probe(self) -> bool {
        self.probe != 0
    }
}

/// Why a request may not pass, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stopped {
    pub(super) cause: Unavailable,
    pub(super) retry_after: Duration,
}

#[derive(Debug)]
pub(super) struct Breaker {
    /// Twice the number of transitions so far, plus one while not everything passes: then admission needs the lock.
    stretch: AtomicU64,
    inner: Mutex<Inner>,
}

impl Default for Breaker {
    fn default() -> Self {
        Self { stretch: AtomicU64::new(0), inner: Mutex::new(Inner::new()) }
    }
}

impl Breaker {
    /// May a request pass?
    pub(super) fn admit(&self, rules: &Rules, now: Instant) -> Result<Ticket, Stopped> {
        let taken = if self.is_offered(rules, now) { self.take(rules, now) } else { Err(()) };
        taken.map_err(|()| self.refuse(rules, now))
    }

    /// A request would like to pass: could it? Asked once for each, since a ramp saves up for one that passes.
    pub(super) fn is_offered(&self, rules: &Rules, now: Instant) -> bool {
        if self.stretch.load(Ordering::Acquire) & 1 == 0 {
            return true;
        }
        let mut inner = self.lock();
        self.pass_time(&mut inner, rules, now);
        inner.offer(rules, now)
    }

    /// Lets a request pass that [`Breaker::is_offered`] would let. Another worker may have been faster.
    pub(super) fn take(&self, rules: &Rules, now: Instant) -> Result<Ticket, ()> {
        let stretch = self.stretch.load(Ordering::Acquire);
        if stretch & 1 == 0 {
            return Ok(Ticket { stretch: stretch >> 1, probe: 0 });
        }
        let mut inner = self.lock();
        if let Phase::Open { until } = inner.phase
            && until <= now
        {
            self.change(&mut inner, Phase::HalfOpen(Probes::default()), BreakerReason::Waited, now);
        }
        let probe = inner.enter(rules, now).ok_or(())?;
        Ok(Ticket { stretch: self.count(), probe })
    }

    /// Why a request may not pass now; counts it as refused.
    pub(super) fn refuse(&self, rules: &Rules, now: Instant) -> Stopped {
        let mut inner = self.lock();
        inner.refused += 1;
        inner.stopped(rules, now)
    }

    /// The same, not counted: for whoever looks for the one of several that is soonest.
    pub(super) fn stopped(&self, rules: &Rules, now: Instant) -> Stopped {
        self.lock().stopped(rules, now)
    }

    /// The head of the answer to a probe is in.
    pub(super) fn answered(&self, ticket: Ticket, good: bool) {
        let mut inner = self.lock();
        if let Phase::HalfOpen(probes) = &mut inner.phase
            && ticket.stretch == self.count()
        {
            probes.answered(ticket.probe, good);
        }
    }

    /// Counts how an admitted request ended. Gives the change when that opened the breaker.
    pub(super) fn record(
        &self,
        ticket: Ticket,
        call: Call,
        rules: &Rules,
        now: Instant,
    ) -> Option<BreakerTransition> {
        let mut inner = self.lock();
        if ticket.stretch != self.count() {
            return None;
        }
        if call.failed {
            inner.failed_at = Some(now);
        }
        let inner = &mut *inner;
        let next = match &mut inner.phase {
            Phase::Closed | Phase::Ramping(_) => {
                inner.window.fit(rules.window());
                inner.window.add(call, now);
                rules.judge(inner.window.tally()).map_or(Next::Stay, Next::Open)
            }
            // A ticket of this stretch cannot exist: an open breaker admits nothing.
            Phase::Open { .. } | Phase::HeldOpen => Next::Stay,
            Phase::HeldClosed => {
                inner.window.fit(rules.window());
                inner.window.add(call, now);
                Next::Stay
            }
            Phase::HalfOpen(probes) => probes.finish(ticket.probe, call.is_good(), rules),
        };
        self.follow(inner, next, rules, now)
    }

    /// Gives a ticket back uncounted; the place of a probe is free for the next.
    pub(super) fn release(&self, ticket: Ticket) {
        if !ticket.is_probe() {
            return;
        }
        let mut inner = self.lock();
        if let Phase::HalfOpen(probes) = &mut inner.phase
            && ticket.stretch == self.count()
        {
            probes.leave(ticket.probe);
        }
    }

    /// Changes it from outside the rules; says whether that changed anything. What a person holds, no other node moves.
    pub(super) fn apply(&self, change: &BreakerChange, rules: &Rules, now: Instant) -> bool {
        let mut inner = self.lock();
        let Some((phase, reason)) = inner.follow_outside(change, rules, now) else { return false };
        self.change(&mut inner, phase, reason, now);
        true
    }

    /// For state and metrics.
    pub(super) fn view(&self, rules: &Rules, now: Instant) -> View {
        let mut inner = self.lock();
        self.pass_time(&mut inner, rules, now);
        inner.window.advance(now);
        View {
            state: inner.phase.state(),
            share: inner.share(rules, now),
            remaining: match &inner.phase {
                Phase::Open { until } => until.saturating_duration_since(now),
                Phase::Closed
                | Phase::Ramping(_)
                | Phase::HalfOpen(_)
                | Phase::HeldOpen
                | Phase::HeldClosed => Duration::ZERO,
            },
            hold: inner.hold.clone(),
            failed_at: inner.failed_at,
            tally: inner.window.tally(),
            opened: inner.opened,
            not_closed: inner.not_closed(now),
            refused: inner.refused,
            transitions: self.count(),
            counts: inner.history.counts(),
            recent: inner.history.recent(),
        }
    }

    /// What happens with time alone: a ramp ends, a probe that takes too long is judged.
    fn pass_time(&self, inner: &mut Inner, rules: &Rules, now: Instant) {
        match &mut inner.phase {
            Phase::Ramping(ramp) if ramp.share(rules.ramp(), now).is_none() => {
                inner.phase = Phase::Closed;
                // Not a transition: what was sent before still counts.
                self.stretch.fetch_and(!1, Ordering::Release);
            }
            Phase::HalfOpen(probes) => {
                let next = probes.settle(rules, now);
                self.follow(inner, next, rules, now);
            }
            Phase::Closed | Phase::Ramping(_) | Phase::Open { .. } | Phase::HeldOpen | Phase::HeldClosed => {}
        }
    }

    fn follow(
        &self,
        inner: &mut Inner,
        next: Next,
        rules: &Rules,
        now: Instant,
    ) -> Option<BreakerTransition> {
        match next {
            Next::Stay => None,
            Next::Close => {
                self.change(inner, Phase::closed(rules, now), BreakerReason::ProbesSucceeded, now);
                None
            }
            Next::Open(reason) => {
                inner.repeat(rules, now);
                let until = now + rules.open_for(inner.repeated);
                Some(self.change(inner, Phase::Open { until }, reason, now))
            }
        }
    }

    fn change(&self, inner: &mut Inner, to: Phase, reason: BreakerReason, now: Instant) -> BreakerTransition {
        let (from, tally) = (inner.phase.state(), inner.window.tally());
        let change = BreakerTransition { at: now, from, to: to.state(), reason, tally };
        inner.history.add(change);
        inner.window.clear();
        inner.mark(change);
        let guarded = u64::from(!matches!(to, Phase::Closed | Phase::HeldClosed));
        inner.phase = to;
        self.stretch.store((self.count() + 1) << 1 | guarded, Ordering::Release);
        change
    }

    /// Transitions so far.
    fn count(&self) -> u64 {
        self.stretch.load(Ordering::Acquire) >> 1
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing under this lock can panic half way, so what a poisoned lock guards is still sound.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) struct View {
    pub(super) state: BreakerState,
    pub(super) share: u32,
    pub(super) remaining: Duration,
    pub(super) hold: Option<BreakerHold>,
    pub(super) failed_at: Option<Instant>,
    pub(super) tally: Tally,
    pub(super) opened: Option<Instant>,
    pub(super) not_closed: Duration,
    pub(super) refused: u64,
    pub(super) transitions: u64,
    pub(super) counts: Vec<BreakerCount>,
    pub(super) recent: Vec<BreakerTransition>,
}
