//! Instances on the metrics page: how they stand, and what they get.

use std::collections::{BTreeMap, BTreeSet};

use super::external::{External, InstanceLine};
use super::named::OTHER;
use super::page::Kind::{Counter, Gauge};
use super::page::{Labels, Page};

/// Gives how many share the series of `other`, because `most` have their own.
pub(super) fn print(page: &mut Page, most: usize, external: &External) -> u64 {
    let (lines, shared) = by_name(&external.instances, most);
    let name = "gateway_instance_healthy";
    page.heading(name, Gauge, "Whether an instance of a service is available: 1 yes, 0 no.");
    for (labels, line) in &lines {
        page.series(name, labels, u64::from(line.standing == "healthy"));
    }
    let name = "gateway_instance_state";
    page.heading(name, Gauge, "Always 1; the label says how the instance stands now.");
    for (labels, line) in &lines {
        page.series(name, &labels.clone().and("state", line.standing), 1);
    }
    let mut family = |name: &str, kind, help: &str, value: fn(&InstanceLine) -> u64| {
        page.heading(name, kind, help);
        for (labels, line) in &lines {
            page.series(name, labels, value(line));
        }
    };
    let help = "Requests for which an instance was chosen.";
    family("gateway_instance_requests_total", Counter, help, |line| line.picks);
    let help = "Requests of an instance under way.";
    family("gateway_instance_in_flight_requests", Gauge, help, |line| line.in_flight.into());
    let help = "Times that failing requests took an instance out.";
    family("gateway_instance_ejections_total", Counter, help, |line| line.ejections);
    services(page, external);
    shared
}

fn services(page: &mut Page, external: &External) {
    let mut family = |name: &str, kind, help: &str, value: fn(&super::ServiceLine) -> u64| {
        page.heading(name, kind, help);
        for line in &external.services {
            page.series(name, &Labels::new("service", &line.service), value(line));
        }
    };
    let help = "Instances that stayed in because as many were ejected as may be.";
    family("gateway_ejections_prevented_total", Counter, help, |line| line.ejections_prevented);
    let help = "Whether so few instances are available that all are asked: 1 yes, 0 no.";
    family("gateway_balance_panic", Gauge, help, |line| line.panics.into());
    let help = "Times that so few instances were available that all were asked.";
    family("gateway_balance_panics_total", Counter, help, |line| line.panics_so_far);
}

/// A series that appears twice would make Prometheus reject the whole scrape, and several addresses may have one name.
fn by_name(lines: &[InstanceLine], most: usize) -> (Vec<(Labels, InstanceLine)>, u64) {
    let mut merged: BTreeMap<(&str, &str), InstanceLine> = BTreeMap::new();
    let mut shared = BTreeSet::new();
    for line in lines {
        let mut key = (line.service.as_str(), line.instance.as_str());
        if merged.len() >= most && !merged.contains_key(&key) {
            shared.insert(key);
            key = (OTHER, OTHER);
        }
        match merged.get_mut(&key) {
            Some(known) => merge(known, line),
            None => _ = merged.insert(key, line.clone()),
        }
    }
    let labelled = |((service, instance), line): ((&str, &str), InstanceLine)| {
        (Labels::new("service", service).and("instance", instance), line)
    };
    (merged.into_iter().map(labelled).collect(), shared.len() as u64)
}

/// Two as one: what they counted is added up, and it is healthy only if both are.
fn merge(known: &mut InstanceLine, line: &InstanceLine) {
    known.in_flight += line.in_flight;
    known.picks += line.picks;
    known.ejections += line.ejections;
    if known.standing == "healthy" {
        known.standing = line.standing;
    }
}
