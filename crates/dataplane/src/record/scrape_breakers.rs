//! The metrics of circuit breakers.

use super::external::BreakerLine;
use super::text::Kind::{self, Counter, Gauge};
use super::text::{Labels, Text};

pub(super) fn print(text: &mut Text, breakers: &[BreakerLine]) {
    let mut family = |name, kind: Kind, help, value: fn(&BreakerLine) -> u64| {
        text.heading(name, kind, help);
        for breaker in breakers {
            text.series(name, &labels(breaker), value(breaker));
        }
    };
    let help = "Circuit breaker of a service: 0 closed, 1 half open, 2 open.";
    family("gateway_breaker_state", Gauge, help, |breaker| breaker.state as u64);
    let help =
        "Share of the requests that a breaker lets pass, in per cent; below 100 while it ramps up, too.";
    family("gateway_breaker_admitted_percent", Gauge, help, |breaker| breaker.share.into());
    let help = "When a breaker ceased to be closed, as Unix time; 0 while it is closed.";
    family("gateway_breaker_opened_timestamp_seconds", Gauge, help, |breaker| breaker.opened_ms / 1_000);
    let help = "Time in which a breaker was not closed.";
    family("gateway_breaker_open_seconds_total", Counter, help, |breaker| breaker.not_closed_ms / 1_000);
    let help = "Requests refused because of a circuit breaker.";
    family("gateway_breaker_refused_total", Counter, help, |breaker| breaker.refused);
    transitions(text, breakers);
}

fn transitions(text: &mut Text, breakers: &[BreakerLine]) {
    let name = "gateway_breaker_transitions_total";
    text.heading(name, Counter, "Changes of state of a circuit breaker, and why.");
    for breaker in breakers {
        for ([from, to, reason], count) in &breaker.transitions {
            text.series(name, &labels(breaker).and("from", from).and("to", to).and("reason", reason), *count);
        }
    }
}

fn labels(breaker: &BreakerLine) -> Labels {
    let labels = Labels::new("service", &breaker.service);
    match (&breaker.route, &breaker.instance, &breaker.tenant) {
        (Some(route), _, _) => labels.and("route", route),
        (None, Some(instance), _) => labels.and("instance", instance),
        (None, None, Some(tenant)) => labels.and("tenant", tenant),
        (None, None, None) => labels,
    }
}
