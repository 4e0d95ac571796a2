//! What the lock of a breaker guards: where it stands, and what it remembers.

use std::time::{Duration, Instant};

use super::Stopped;
use super::hand::{BreakerChange, BreakerHold};
use super::history::{BreakerReason, BreakerState, BreakerTransition, History};
use super::probes::Probes;
use super::ramp::Ramp;
use super::rules::Rules;
use super::window::Window;
use crate::refusal::Unavailable;
use crate::snapshot::document::BreakerWindow;

/// What a client is told to wait while probes are under way: nobody knows how long they take.
const PROBE_RETRY: Duration = Duration::from_secs(1);
/// And while a person holds the breaker open: nobody knows that either.
const HELD_RETRY: Duration = Duration::from_secs(30);

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Closed,
    Ramping(Ramp),
    Open {
        until: Instant,
    },
    HalfOpen(Probes),
    /// By a person, until it is reset.
    HeldOpen,
    HeldClosed,
}

impl Phase {
    pub(super) fn state(&self) -> BreakerState {
        match self {
            Self::Closed | Self::Ramping(_) | Self::HeldClosed => BreakerState::Closed,
            Self::Open { .. } | Self::HeldOpen => BreakerState::Open,
            Self::HalfOpen(_) => BreakerState::HalfOpen,
        }
    }

    /// As it begins after an opening.
    pub(super) fn closed(rules: &Rules, now: Instant) -> Self {
        if rules.ramp().is_zero() { Self::Closed } else { Self::Ramping(Ramp::new(now)) }
    }
}

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) phase: Phase,
    pub(super) window: Window,
    pub(super) history: History,
    pub(super) hold: Option<BreakerHold>,
    /// How often in a row it has opened again before it was calm.
    pub(super) repeated: u32,
    /// What opened it when it was closed last: the rule and its numbers.
    cause: Option<BreakerTransition>,
    /// When it closed last, and when it last ceased to be closed.
    closed: Option<Instant>,
    pub(super) opened: Option<Instant>,
    /// Without the time since `opened`.
    not_closed: Duration,
    pub(super) failed_at: Option<Instant>,
    pub(super) refused: u64,
}

impl Inner {
    pub(super) fn new() -> Self {
        Self {
            phase: Phase::Closed,
            window: Window::new(BreakerWindow::Calls(0)),
            history: History::default(),
            hold: None,
            repeated: 0,
            cause: None,
            closed: None,
            opened: None,
            not_closed: Duration::ZERO,
            failed_at: None,
            refused: 0,
        }
    }

    /// A request would like to pass: could it?
    pub(super) fn offer(&mut self, rules: &Rules, now: Instant) -> bool {
        match &mut self.phase {
            Phase::Closed | Phase::HeldClosed => true,
            Phase::Ramping(ramp) => {
                ramp.offer(rules.ramp(), now);
                ramp.may_pass()
            }
            Phase::Open { until } => *until <= now,
            Phase::HalfOpen(probes) => probes.has_place(rules),
            Phase::HeldOpen => false,
        }
    }

    /// Gives the id of the probe that the request becomes, 0 for none.
    pub(super) fn enter(&mut self, rules: &Rules, now: Instant) -> Option<u32> {
        match &mut self.phase {
            Phase::Closed | Phase::HeldClosed => Some(0),
            Phase::Ramping(ramp) => ramp.pass().then_some(0),
            Phase::HalfOpen(probes) => probes.enter(rules, now),
            Phase::Open { .. } | Phase::HeldOpen => None,
        }
    }

    /// Why a request may not pass.
    pub(super) fn stopped(&self, rules: &Rules, now: Instant) -> Stopped {
        let retry_after = match &self.phase {
            Phase::Ramping(ramp) => {
                let retry_after = ramp.left(rules.ramp(), now);
                return Stopped { cause: Unavailable::BreakerRamp, retry_after };
            }
            Phase::Open { until } => until.saturating_duration_since(now),
            Phase::HeldOpen => HELD_RETRY,
            Phase::Closed | Phase::HeldClosed | Phase::HalfOpen(_) => PROBE_RETRY,
        };
        let opened = self.cause.map(|change| change.interruption()).unwrap_or_default();
        Stopped { cause: Unavailable::BreakerOpen(opened), retry_after }
    }

    /// Where a change from outside the rules leads; `None`: it changes nothing.
    pub(super) fn follow_outside(
        &mut self,
        change: &BreakerChange,
        rules: &Rules,
        now: Instant,
    ) -> Option<(Phase, BreakerReason)> {
        let hold = |by: &str, why: &Option<String>| BreakerHold { by: by.into(), why: why.clone(), at: now };
        let phase = match change {
            BreakerChange::Open { by, why } => {
                self.hold = Some(hold(by, why));
                (Phase::HeldOpen, BreakerReason::OpenedByHand)
            }
            BreakerChange::Close { by, why } => {
                self.hold = Some(hold(by, why));
                (Phase::HeldClosed, BreakerReason::ClosedByHand)
            }
            BreakerChange::Reset {} => {
                (self.hold, self.repeated, self.closed) = (None, 0, None);
                self.window.clear();
                (Phase::Closed, BreakerReason::Reset)
            }
            BreakerChange::SharedOpen { .. } | BreakerChange::SharedClosed {} => {
                (self.shared(change, rules, now)?, BreakerReason::Shared)
            }
        };
        (phase.0 != self.phase).then_some(phase)
    }

    /// What another node saw is news for a breaker that its own node did not move, and that no person holds.
    fn shared(&self, change: &BreakerChange, rules: &Rules, now: Instant) -> Option<Phase> {
        let opening = if let BreakerChange::SharedOpen { for_ms } = change { Some(*for_ms) } else { None };
        match (&self.phase, opening) {
            (Phase::Closed | Phase::Ramping(_) | Phase::HalfOpen(_), Some(milliseconds)) => {
                let left = Duration::from_millis(milliseconds).min(rules.longest());
                Some(Phase::Open { until: now + left })
            }
            (Phase::Open { .. } | Phase::HalfOpen(_), None) => Some(Phase::closed(rules, now)),
            (Phase::Open { .. } | Phase::HeldOpen | Phase::HeldClosed, Some(_))
            | (Phase::Closed | Phase::Ramping(_) | Phase::HeldOpen | Phase::HeldClosed, None) => None,
        }
    }

    /// Counts an opening as one more of the same trouble, or as the first of another.
    pub(super) fn repeat(&mut self, rules: &Rules, now: Instant) {
        let since_closed = self.closed.map(|closed| now.saturating_duration_since(closed));
        let again = matches!(self.phase, Phase::HalfOpen(_))
            || since_closed.is_some_and(|since| since < rules.longest());
        self.repeated = if again { self.repeated.saturating_add(1) } else { 0 };
    }

    pub(super) fn mark(&mut self, change: BreakerTransition) {
        if change.to == BreakerState::Closed {
            self.not_closed = self.not_closed(change.at);
            (self.closed, self.opened) = (Some(change.at), None);
            return;
        }
        if self.opened.is_none() || change.reason == BreakerReason::OpenedByHand {
            self.cause = Some(change);
        }
        self.opened.get_or_insert(change.at);
    }

    pub(super) fn not_closed(&self, now: Instant) -> Duration {
        let current = self.opened.map_or(Duration::ZERO, |opened| now.saturating_duration_since(opened));
        self.not_closed + current
    }

    /// Per cent of the requests that pass; half open it is probes alone.
    pub(super) fn share(&self, rules: &Rules, now: Instant) -> u32 {
        match &self.phase {
            Phase::Closed | Phase::HeldClosed => 100,
            Phase::Ramping(ramp) => ramp.share(rules.ramp(), now).unwrap_or(100),
            Phase::Open { .. } | Phase::HalfOpen(_) | Phase::HeldOpen => 0,
        }
    }
}
