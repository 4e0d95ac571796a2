//! What the engine shows of circuit breakers.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::balance::{BreakerState as State, BreakerSummary, BreakerTransition, ServiceSummary, Tally};
use crate::record::{BreakerLine, BreakerState};

/// One moment on both clocks.
#[derive(Clone, Copy)]
pub(super) struct Clock {
    pub(super) now: Instant,
    pub(super) unix_ms: u64,
}

impl Clock {
    fn unix_ms(self, moment: Instant) -> u64 {
        self.unix_ms.saturating_sub(milliseconds(self.now.saturating_duration_since(moment)))
    }
}

pub(super) fn line(service: &ServiceSummary, clock: Clock) -> Option<BreakerLine> {
    let breaker = service.breaker.as_ref()?;
    let texts = |counted: &crate::balance::BreakerCount| {
        ([counted.from.text(), counted.to.text(), counted.reason.text()], counted.count)
    };
    Some(BreakerLine {
        service: service.name.clone(),
        state: match breaker.state {
            State::Closed => BreakerState::Closed,
            State::HalfOpen => BreakerState::HalfOpen,
            State::Open => BreakerState::Open,
        },
        share: breaker.share,
        not_closed_ms: milliseconds(breaker.not_closed),
        opened_ms: breaker.opened.map_or(0, |opened| clock.unix_ms(opened)),
        refused: breaker.refused,
        transitions: breaker.counts.iter().map(texts).collect(),
    })
}

pub(super) fn document(breaker: &BreakerSummary, clock: Clock) -> Value {
    json!({
        "state": breaker.state.text(),
        "admitted_percent": breaker.share,
        "retry_after_ms": milliseconds(breaker.remaining),
        "opened_ms": breaker.opened.map(|opened| clock.unix_ms(opened)),
        "counted": tally(breaker.tally),
        "refused": breaker.refused,
        "transitions": breaker.transitions,
        "recent": breaker.recent.iter().map(|change| transition(change, clock)).collect::<Vec<_>>(),
    })
}

fn transition(change: &BreakerTransition, clock: Clock) -> Value {
    json!({
        "at_ms": clock.unix_ms(change.at),
        "from": change.from.text(),
        "to": change.to.text(),
        "reason": change.reason.text(),
        "counted": tally(change.tally),
    })
}

fn tally(tally: Tally) -> Value {
    let Tally { requests, failures, slow, consecutive } = tally;
    json!({"requests": requests, "failures": failures, "slow": slow, "consecutive_failures": consecutive})
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
