//! The circuit breaker of a service (requirements BH-9 to BH-12, D10 to D12).
//!
//! Closed: requests pass and are counted. Open: nothing passes before a deadline. Half open: one probe at a time; enough
//! successes in a row close it, one failure opens it again. Settings are an argument, so a reload changes them without
//! losing the state.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::window::Window;
use crate::snapshot::document::BreakerDocument;

/// What a client is told to wait while a probe is under way: nobody knows how long the probe takes.
const PROBE_RETRY: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerState {
    Closed,
    Open,
    HalfOpen,
}

impl BreakerState {
    pub fn text(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerReason {
    TooManyFailures,
    Waited,
    ProbesSucceeded,
    ProbeFailed,
    Reset,
}

impl BreakerReason {
    pub fn text(self) -> &'static str {
        match self {
            Self::TooManyFailures => "too_many_failures",
            Self::Waited => "waited",
            Self::ProbesSucceeded => "probes_succeeded",
            Self::ProbeFailed => "probe_failed",
            Self::Reset => "reset",
        }
    }
}

/// The last change of a breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakerTransition {
    pub from: BreakerState,
    pub to: BreakerState,
    pub reason: BreakerReason,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Closed,
    Open { until: Instant },
    HalfOpen { successes: u32, probing: bool },
}

impl Phase {
    fn state(self) -> BreakerState {
        match self {
            Self::Closed => BreakerState::Closed,
            Self::Open { .. } => BreakerState::Open,
            Self::HalfOpen { .. } => BreakerState::HalfOpen,
        }
    }
}

/// Leave to send one request; comes back with its outcome. It belongs to one stretch between two transitions:
/// what was sent in an older stretch says nothing about this one and is not counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ticket {
    stretch: u64,
}

#[derive(Debug)]
struct Inner {
    phase: Phase,
    window: Window,
    last: Option<BreakerTransition>,
}

#[derive(Debug)]
pub(super) struct Breaker {
    window_ms: u64,
    /// Twice the number of transitions so far, plus one while not closed: closed breakers admit without the lock.
    stretch: AtomicU64,
    inner: Mutex<Inner>,
}

impl Breaker {
    pub(super) fn new(window_ms: u64) -> Self {
        let inner = Inner { phase: Phase::Closed, window: Window::new(window_ms), last: None };
        Self { window_ms, stretch: AtomicU64::new(0), inner: Mutex::new(inner) }
    }

    pub(super) fn window_ms(&self) -> u64 {
        self.window_ms
    }

    /// May a request pass? An error says how long to wait.
    pub(super) fn admit(&self, now: Instant) -> Result<Ticket, Duration> {
        let stretch = self.stretch.load(Ordering::Acquire);
        if stretch & 1 == 0 { Ok(Ticket { stretch }) } else { self.admit_probe(now) }
    }

    fn admit_probe(&self, now: Instant) -> Result<Ticket, Duration> {
        let mut inner = self.lock();
        match inner.phase {
            Phase::Closed => {}
            Phase::Open { until } if now < until => return Err(until - now),
            Phase::Open { .. } => {
                let phase = Phase::HalfOpen { successes: 0, probing: true };
                self.change(&mut inner, phase, BreakerReason::Waited);
            }
            Phase::HalfOpen { probing: true, .. } => return Err(PROBE_RETRY),
            Phase::HalfOpen { successes, probing: false } => {
                inner.phase = Phase::HalfOpen { successes, probing: true };
            }
        }
        Ok(Ticket { stretch: self.stretch.load(Ordering::Acquire) })
    }

    /// Counts how an admitted request ended.
    pub(super) fn record(&self, ticket: Ticket, failed: bool, settings: &BreakerDocument, now: Instant) {
        let mut inner = self.lock();
        if self.is_stale(ticket) {
            return;
        }
        match inner.phase {
            Phase::Closed => {
                inner.window.add(failed, now);
                if exceeds(inner.window.totals(), settings) {
                    self.open(&mut inner, settings, BreakerReason::TooManyFailures, now);
                }
            }
            // A ticket of this stretch cannot exist: an open breaker admits nothing.
            Phase::Open { .. } => {}
            Phase::HalfOpen { .. } if failed => {
                self.open(&mut inner, settings, BreakerReason::ProbeFailed, now);
            }
            Phase::HalfOpen { successes, .. } if successes + 1 >= settings.probes => {
                // The window is empty since it opened.
                self.change(&mut inner, Phase::Closed, BreakerReason::ProbesSucceeded);
            }
            Phase::HalfOpen { successes, .. } => {
                inner.phase = Phase::HalfOpen { successes: successes + 1, probing: false };
            }
        }
    }

    /// Gives a ticket back uncounted; in half open, its place is free for the next probe.
    pub(super) fn release(&self, ticket: Ticket) {
        // An even stretch is a closed one, where nobody waits for the place.
        if ticket.stretch & 1 == 0 {
            return;
        }
        let mut inner = self.lock();
        if let Phase::HalfOpen { successes, .. } = inner.phase
            && !self.is_stale(ticket)
        {
            inner.phase = Phase::HalfOpen { successes, probing: false };
        }
    }

    /// Closes it and forgets what was counted; says whether it was not closed.
    pub(super) fn reset(&self) -> bool {
        let mut inner = self.lock();
        inner.window.clear();
        if inner.phase == Phase::Closed {
            return false;
        }
        self.change(&mut inner, Phase::Closed, BreakerReason::Reset);
        true
    }

    /// For state and metrics: phase, time left while open, requests and failures in the window, last transition.
    pub(super) fn view(&self, now: Instant) -> View {
        let mut inner = self.lock();
        inner.window.advance(now);
        let (requests, failures) = inner.window.totals();
        let remaining = match inner.phase {
            Phase::Open { until } => until.saturating_duration_since(now),
            Phase::Closed | Phase::HalfOpen { .. } => Duration::ZERO,
        };
        let transitions = self.stretch.load(Ordering::Acquire) >> 1;
        View { state: inner.phase.state(), remaining, requests, failures, transitions, last: inner.last }
    }

    fn open(&self, inner: &mut Inner, settings: &BreakerDocument, reason: BreakerReason, now: Instant) {
        let until = now + Duration::from_millis(settings.open_for_ms);
        inner.window.clear();
        self.change(inner, Phase::Open { until }, reason);
    }

    fn change(&self, inner: &mut Inner, to: Phase, reason: BreakerReason) {
        inner.last = Some(BreakerTransition { from: inner.phase.state(), to: to.state(), reason });
        inner.phase = to;
        let count = (self.stretch.load(Ordering::Acquire) >> 1) + 1;
        self.stretch.store(count << 1 | u64::from(to != Phase::Closed), Ordering::Release);
    }

    fn is_stale(&self, ticket: Ticket) -> bool {
        ticket.stretch != self.stretch.load(Ordering::Acquire)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing under this lock can panic half way, so what a poisoned lock guards is still sound.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) struct View {
    pub(super) state: BreakerState,
    pub(super) remaining: Duration,
    pub(super) requests: u32,
    pub(super) failures: u32,
    pub(super) transitions: u64,
    pub(super) last: Option<BreakerTransition>,
}

/// Strictly more than the ratio: at 0.5 and 20 requests, 11 failures are too many and 10 are not.
fn exceeds((requests, failures): (u32, u32), settings: &BreakerDocument) -> bool {
    requests >= settings.minimum_requests
        && f64::from(failures) > settings.failure_ratio * f64::from(requests)
}
