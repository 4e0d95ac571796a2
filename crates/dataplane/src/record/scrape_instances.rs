//! Instances on the metrics page: how they stand, and what they get.

use std::collections::BTreeMap;

use super::external::{External, InstanceLine};
use super::text::Kind::{Counter, Gauge};
use super::text::{Labels, Text};

pub(super) fn print(text: &mut Text, external: &External) {
    let lines = by_name(&external.instances);
    let name = "gateway_instance_healthy";
    text.heading(name, Gauge, "Whether an instance of a service is available: 1 yes, 0 no.");
    for (labels, line) in &lines {
        text.series(name, labels, u64::from(line.standing == "healthy"));
    }
    let name = "gateway_instance_state";
    text.heading(name, Gauge, "Always 1; the label says how the instance stands now.");
    for (labels, line) in &lines {
        text.series(name, &labels.clone().and("state", line.standing), 1);
    }
    let mut family = |name: &str, kind, help: &str, value: fn(&InstanceLine) -> u64| {
        text.heading(name, kind, help);
        for (labels, line) in &lines {
            text.series(name, labels, value(line));
        }
    };
    let help = "Requests for which an instance was chosen.";
    family("gateway_instance_requests_total", Counter, help, |line| line.picks);
    let help = "Requests of an instance under way.";
    family("gateway_instance_in_flight_requests", Gauge, help, |line| line.in_flight.into());
    let help = "Times that failing requests took an instance out.";
    family("gateway_instance_ejections_total", Counter, help, |line| line.ejections);
    services(text, external);
}

fn services(text: &mut Text, external: &External) {
    let mut family = |name: &str, kind, help: &str, value: fn(&super::ServiceLine) -> u64| {
        text.heading(name, kind, help);
        for line in &external.services {
            text.series(name, &Labels::new("service", &line.service), value(line));
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
fn by_name(lines: &[InstanceLine]) -> Vec<(Labels, InstanceLine)> {
    let mut merged: BTreeMap<(&str, &str), InstanceLine> = BTreeMap::new();
    for line in lines {
        let key = (line.service.as_str(), line.instance.as_str());
        let Some(known) = merged.get_mut(&key) else {
            merged.insert(key, line.clone());
            continue;
        };
        known.in_flight += line.in_flight;
        known.picks += line.picks;
        known.ejections += line.ejections;
        if known.standing == "healthy" {
            known.standing = line.standing;
        }
    }
    let labelled = |((service, instance), line): ((&str, &str), InstanceLine)| {
        (Labels::new("service", service).and("instance", instance), line)
    };
    merged.into_iter().map(labelled).collect()
}
