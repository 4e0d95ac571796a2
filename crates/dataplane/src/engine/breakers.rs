//! What the engine shows of circuit breakers.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::balance::{
    BreakerHold, BreakerState as State, BreakerSummary, BreakerTransition, ServiceSummary, Tally,
};
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

pub(super) fn lines(service: &ServiceSummary, clock: Clock) -> impl Iterator<Item = BreakerLine> {
    service.breakers.iter().map(move |breaker| line(&service.name, breaker, clock))
}

fn line(service: &str, breaker: &BreakerSummary, clock: Clock) -> BreakerLine {
    let texts = |counted: &crate::balance::BreakerCount| {
        ([counted.from.text(), counted.to.text(), counted.reason.text()], counted.count)
    };
    BreakerLine {
        service: service.to_owned(),
        route: breaker.route.clone(),
        instance: breaker.instance.clone(),
        tenant: breaker.tenant.clone(),
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
    }
}

/// The breakers of one service.
pub(super) fn documents(service: &ServiceSummary, clock: Clock) -> Vec<Value> {
    service.breakers.iter().map(|breaker| document(&service.name, breaker, clock)).collect()
}

fn document(service: &str, breaker: &BreakerSummary, clock: Clock) -> Value {
    let name = match (&breaker.route, &breaker.instance, &breaker.tenant) {
        (Some(route), _, _) => format!("{service}/{route}"),
        (None, Some(instance), _) => format!("{service}@{instance}"),
        (None, None, Some(tenant)) => format!("{service}:{tenant}"),
        (None, None, None) => service.to_owned(),
    };
    json!({
        "name": name,
        "service": service,
        "route": breaker.route,
        "instance": breaker.instance,
        "tenant": breaker.tenant,
        "held": breaker.hold.as_ref().map(|hold| hold_document(hold, clock)),
        "failed_ms": breaker.failed_at.map(|failed| clock.unix_ms(failed)),
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

fn hold_document(hold: &BreakerHold, clock: Clock) -> Value {
    json!({"by": hold.by, "why": hold.why, "at_ms": clock.unix_ms(hold.at)})
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
    let Tally { requests, failures, slow, loaded, consecutive } = tally;
    json!({
        "requests": requests, "failures": failures, "slow": slow, "loaded": loaded,
        "consecutive_failures": consecutive,
    })
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
