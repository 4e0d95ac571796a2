//! The metrics of circuit breakers.

use super::external::BreakerLine;
use super::named::OTHER;
use super::page::Kind::{self, Counter, Gauge};
use super::page::{Labels, Page};

/// Gives how many share the series of `other`, because `most` have their own.
pub(super) fn print(page: &mut Page, most: usize, breakers: &[BreakerLine]) -> u64 {
    let (own, rest) = breakers.split_at(most.min(breakers.len()));
    match rest.iter().cloned().reduce(together) {
        None => families(page, own),
        Some(others) => families(page, &[own, &[others]].concat()),
    }
    rest.len() as u64
}

/// Two breakers as one: what they counted is added up, and the worse state holds.
fn together(mut one: BreakerLine, another: BreakerLine) -> BreakerLine {
    let state = std::cmp::max_by_key(one.state, another.state, |state| *state as u8);
    for (change, count) in another.transitions {
        match one.transitions.iter_mut().find(|(known, _)| *known == change) {
            Some((_, known)) => *known += count,
            None => one.transitions.push((change, count)),
        }
    }
    BreakerLine {
        service: OTHER.to_owned(),
        route: None,
        instance: None,
        tenant: None,
        state,
        share: one.share.min(another.share),
        not_closed_ms: one.not_closed_ms + another.not_closed_ms,
        opened_ms: one.opened_ms.max(another.opened_ms),
        refused: one.refused + another.refused,
        transitions: one.transitions,
    }
}

fn families(page: &mut Page, breakers: &[BreakerLine]) {
    let mut family = |name, kind: Kind, help, value: fn(&BreakerLine) -> u64| {
        page.heading(name, kind, help);
        for breaker in breakers {
            page.series(name, &labels(breaker), value(breaker));
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
    transitions(page, breakers);
}

fn transitions(page: &mut Page, breakers: &[BreakerLine]) {
    let name = "gateway_breaker_transitions_total";
    page.heading(name, Counter, "Changes of state of a circuit breaker, and why.");
    for breaker in breakers {
        for ([from, to, reason], count) in &breaker.transitions {
            page.series(name, &labels(breaker).and("from", from).and("to", to).and("reason", reason), *count);
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
