//! The circuit breaker (requirements BH-9 to BH-20, D10 to D13).
//!
//! Closed: requests pass and are counted; at first, after it was open, only a growing share of them. Open: nothing passes
//! before a deadline. Half open: a few probes at a time; enough successes in a row close it, failures open it again.
//! Settings are an argument, so a reload changes them without losing the state.

mod history;
mod probes;
mod ramp;
mod rules;
mod window;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

pub use history::{BreakerCount, BreakerReason, BreakerState, BreakerTransition};
pub use window::Tally;

use crate::refusal::Unavailable;
use crate::snapshot::document::BreakerWindow;
use history::History;
use probes::{Next, Probes};
use ramp::Ramp;
pub(super) use rules::Rules;
pub(super) use window::Call;
use window::Window;

/// What a client is told to wait while probes are under way: nobody knows how long they take.
const PROBE_RETRY: Duration = Duration::from_secs(1);

#[derive(Debug, PartialEq, Eq)]
enum Phase {
    Closed,
    Ramping(Ramp),
    Open { until: Instant },
    HalfOpen(Probes),
}

impl Phase {
    fn state(&self) -> BreakerState {
        match self {
            Self::Closed | Self::Ramping(_) => BreakerState::Closed,
            Self::Open { .. } => BreakerState::Open,
            Self::HalfOpen(_) => BreakerState::HalfOpen,
        }
    }
}

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
struct Inner {
    phase: Phase,
    window: Window,
    history: History,
    /// How often in a row it has opened again before it was calm.
    repeated: u32,
    /// What opened it when it was closed last: the rule and its numbers.
    cause: Option<BreakerTransition>,
    /// When it closed last, and when it last ceased to be closed.
    closed: Option<Instant>,
    opened: Option<Instant>,
    /// Without the time since `opened`.
    not_closed: Duration,
    refused: u64,
}

#[derive(Debug)]
pub(super) struct Breaker {
    /// Twice the number of transitions so far, plus one while not everything passes: then admission needs the lock.
    stretch: AtomicU64,
    inner: Mutex<Inner>,
}

impl Default for Breaker {
    fn default() -> Self {
        let inner = Inner {
            phase: Phase::Closed,
            window: Window::new(BreakerWindow::Calls(0)),
            history: History::default(),
            repeated: 0,
            cause: None,
            closed: None,
            opened: None,
            not_closed: Duration::ZERO,
            refused: 0,
        };
        Self { stretch: AtomicU64::new(0), inner: Mutex::new(inner) }
    }
}

impl Breaker {
    /// May a request pass?
    pub(super) fn admit(&self, rules: &Rules, now: Instant) -> Result<Ticket, Stopped> {
        let stretch = self.stretch.load(Ordering::Acquire);
        if stretch & 1 == 0 {
            return Ok(Ticket { stretch: stretch >> 1, probe: 0 });
        }
        let mut inner = self.lock();
        self.pass_time(&mut inner, rules, now);
        if let Phase::Open { until } = inner.phase
            && until <= now
        {
            self.change(&mut inner, Phase::HalfOpen(Probes::default()), BreakerReason::Waited, now);
        }
        let probe = inner.enter(rules, now)?;
        Ok(Ticket { stretch: self.count(), probe })
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
        let next = match &mut inner.phase {
            Phase::Closed | Phase::Ramping(_) => {
                inner.window.fit(rules.window());
                inner.window.add(call, now);
                rules.judge(inner.window.tally()).map_or(Next::Stay, Next::Open)
            }
            // A ticket of this stretch cannot exist: an open breaker admits nothing.
            Phase::Open { .. } => Next::Stay,
            Phase::HalfOpen(probes) => probes.finish(ticket.probe, !call.failed && !call.slow, rules),
        };
        self.follow(&mut inner, next, rules, now)
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

    /// Closes it and forgets what was counted; says whether it was not closed, or not for everybody.
    pub(super) fn reset(&self, now: Instant) -> bool {
        let mut inner = self.lock();
        inner.window.clear();
        inner.repeated = 0;
        inner.closed = None;
        if inner.phase == Phase::Closed {
            return false;
        }
        self.change(&mut inner, Phase::Closed, BreakerReason::Reset, now);
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
                Phase::Closed | Phase::Ramping(_) | Phase::HalfOpen(_) => Duration::ZERO,
            },
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
            Phase::Closed | Phase::Ramping(_) | Phase::Open { .. } => {}
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
                let ramps = !rules.ramp().is_zero();
                let phase = if ramps { Phase::Ramping(Ramp::new(now)) } else { Phase::Closed };
                self.change(inner, phase, BreakerReason::ProbesSucceeded, now);
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
        let guarded = u64::from(to != Phase::Closed);
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

impl Inner {
    /// Gives the id of the probe that the request becomes, 0 for none.
    fn enter(&mut self, rules: &Rules, now: Instant) -> Result<u32, Stopped> {
        let stopped = match &mut self.phase {
            Phase::Closed => return Ok(0),
            Phase::Ramping(ramp) => match ramp.admit(rules.ramp(), now) {
                Ok(()) => return Ok(0),
                Err(retry_after) => Stopped { cause: Unavailable::BreakerRamp, retry_after },
            },
            Phase::Open { until } => {
                let left = until.saturating_duration_since(now);
                self.stop(left)
            }
            Phase::HalfOpen(probes) => match probes.enter(rules, now) {
                Some(id) => return Ok(id),
                None => self.stop(PROBE_RETRY),
            },
        };
        self.refused += 1;
        Err(stopped)
    }

    fn stop(&self, retry_after: Duration) -> Stopped {
        let opened = self.cause.map(|change| change.interruption()).unwrap_or_default();
        Stopped { cause: Unavailable::BreakerOpen(opened), retry_after }
    }

    /// Counts an opening as one more of the same trouble, or as the first of another.
    fn repeat(&mut self, rules: &Rules, now: Instant) {
        let since_closed = self.closed.map(|closed| now.saturating_duration_since(closed));
        let again = match self.phase {
            Phase::HalfOpen(_) => true,
            Phase::Closed | Phase::Ramping(_) | Phase::Open { .. } => {
                since_closed.is_some_and(|since| since < rules.calm())
            }
        };
        self.repeated = if again { self.repeated.saturating_add(1) } else { 0 };
    }

    fn mark(&mut self, change: BreakerTransition) {
        match change.to {
            BreakerState::Closed => {
                self.not_closed = self.not_closed(change.at);
                (self.closed, self.opened) = (Some(change.at), None);
            }
            BreakerState::Open | BreakerState::HalfOpen => {
                if self.opened.is_none() {
                    (self.opened, self.cause) = (Some(change.at), Some(change));
                }
            }
        }
    }

    fn not_closed(&self, now: Instant) -> Duration {
        let current = self.opened.map_or(Duration::ZERO, |opened| now.saturating_duration_since(opened));
        self.not_closed + current
    }

    /// Per cent of the requests that pass; half open it is probes alone.
    fn share(&self, rules: &Rules, now: Instant) -> u32 {
        match &self.phase {
            Phase::Closed => 100,
            Phase::Ramping(ramp) => ramp.share(rules.ramp(), now).unwrap_or(100),
            Phase::Open { .. } | Phase::HalfOpen(_) => 0,
        }
    }
}

pub(super) struct View {
    pub(super) state: BreakerState,
    pub(super) share: u32,
    pub(super) remaining: Duration,
    pub(super) tally: Tally,
    pub(super) opened: Option<Instant>,
    pub(super) not_closed: Duration,
    pub(super) refused: u64,
    pub(super) transitions: u64,
    pub(super) counts: Vec<BreakerCount>,
    pub(super) recent: Vec<BreakerTransition>,
}
