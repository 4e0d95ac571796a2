//! Everything counted, as Prometheus text. Reads with relaxed loads; no worker waits for a scrape.

use super::counts::{CODES, MALFORMED, TIMEOUTS, reason};
use super::external::External;
use super::histogram::{Overhead, Whole};
use super::metrics::{ListenerMetrics, RouteTotals, ServiceMetrics, Tally};
use super::registry::{Family, Registry};
use super::scrape_breakers;
use super::scrape_instances;
use super::text::Kind::{Counter, Gauge, Histogram};
use super::text::{Labels, Text};

/// Room that the fixed part takes, and each route.
const FIXED_BYTES: usize = 16 * 1024;
const BYTES_PER_ROUTE: usize = 6 * 1024;

/// Gives every metric with its heading. A route appears when it has been asked for; labels are names of the
/// configuration or words of ours, never a path and never a client.
pub fn print(registry: &Registry, external: &External) -> String {
    let routes = route_lines(registry);
    let mut text = Text::with_capacity(FIXED_BYTES + routes.len() * BYTES_PER_ROUTE);
    requests(&mut text, &routes);
    durations(&mut text, &routes);
    sizes(&mut text, &routes);
    refusals(&mut text, registry);
    authentication(&mut text, registry);
    listeners(&mut text, registry);
    clients(&mut text, registry);
    services(&mut text, registry);
    service_states(&mut text, external);
    scrape_instances::print(&mut text, external);
    queues(&mut text, external);
    node(&mut text, registry, external);
    text.finish()
}

struct RouteLine {
    route: Labels,
    with_service: Labels,
    totals: RouteTotals,
}

fn route_lines(registry: &Registry) -> Vec<RouteLine> {
    let lines = registry.routes.list().into_iter().filter_map(|(name, metrics)| {
        let route = Labels::new("route", &name);
        let with_service = route.clone().and("service", &metrics.service);
        metrics.totals().map(|totals| RouteLine { route, with_service, totals })
    });
    lines.collect()
}

fn requests(text: &mut Text, routes: &[RouteLine]) {
    let name = "gateway_requests_total";
    text.heading(name, Counter, "Requests answered, by status; unusual statuses by class.");
    for line in routes {
        for (status, count) in line.totals.statuses.seen() {
            text.series(name, &line.with_service.clone().and("status", status), count);
        }
    }
}

fn durations(text: &mut Text, routes: &[RouteLine]) {
    let name = "gateway_request_duration_seconds";
    text.heading(name, Histogram, "The gateway's own share of a request, without the service.");
    for line in routes {
        text.histogram::<Overhead>(name, &line.route, &line.totals.overhead);
    }
    let name = "gateway_upstream_duration_seconds";
    text.heading(name, Histogram, "The service's share of a request.");
    // A route that never reached a service would only add empty buckets.
    for line in routes.iter().filter(|line| line.totals.upstream.count() > 0) {
        text.histogram::<Whole>(name, &line.with_service, &line.totals.upstream);
    }
    let name = "gateway_total_duration_seconds";
    text.heading(name, Histogram, "A request from its first byte to the last byte of its response.");
    for line in routes {
        text.histogram::<Whole>(name, &line.route, &line.totals.total);
    }
}

fn sizes(text: &mut Text, routes: &[RouteLine]) {
    let name = "gateway_request_bytes_total";
    text.heading(name, Counter, "Bytes received in heads and bodies of requests.");
    for line in routes {
        text.series(name, &line.route, line.totals.request_bytes);
    }
    let name = "gateway_response_bytes_total";
    text.heading(name, Counter, "Bytes sent in heads and bodies of responses.");
    for line in routes {
        text.series(name, &line.route, line.totals.response_bytes);
    }
}

fn refusals(text: &mut Text, registry: &Registry) {
    let name = "gateway_refusals_total";
    text.heading(name, Counter, "Requests that the gateway itself refused, by error code.");
    for (index, code) in CODES.iter().enumerate() {
        let count = registry.node().sum_at(index, |counts| &counts.refusals);
        text.series(name, &Labels::new("code", code), count);
    }
    let name = "gateway_malformed_total";
    text.heading(name, Counter, "Requests refused as malformed, by reason.");
    for (index, malformed) in MALFORMED.into_iter().enumerate() {
        let count = registry.node().sum_at(index, |counts| &counts.malformed);
        text.series(name, &Labels::new("reason", reason(malformed)), count);
    }
    let name = "gateway_rate_limited_total";
    text.heading(name, Counter, "Requests over the limit of a tier.");
    tallies(text, name, "tier", &registry.tiers);
}

fn authentication(text: &mut Text, registry: &Registry) {
    let name = "gateway_authentication_failures_total";
    text.heading(name, Counter, "Requests without a valid credential, by the identity that was tried.");
    tallies(text, name, "identity", &registry.identities);
    let node = registry.node();
    let hits = node.sum(|counts| &counts.token_cache_hits);
    text.single("gateway_token_cache_hits_total", Counter, "Tokens found among those verified before.", hits);
    let misses = node.sum(|counts| &counts.token_cache_misses);
    text.single("gateway_token_cache_misses_total", Counter, "Tokens whose signature was checked.", misses);
}

fn tallies(text: &mut Text, name: &str, label: &str, family: &Family<Tally>) {
    for (value, tally) in family.list() {
        text.series(name, &Labels::new(label, &value), tally.get());
    }
}

fn listeners(text: &mut Text, registry: &Registry) {
    let listeners = registry.listeners.list();
    let mut family = |name: &str, kind, help: &str, value: fn(&ListenerMetrics) -> u64| {
        text.heading(name, kind, help);
        for (listener, metrics) in &listeners {
            text.series(name, &Labels::new("listener", listener), value(metrics));
        }
    };
    family("gateway_connections_total", Counter, "Client connections accepted.", |listener| {
        listener.sum(|slot| &slot.accepted)
    });
    family("gateway_connections", Gauge, "Client connections open now.", |listener| {
        listener.sum(|slot| &slot.open)
    });
    let help = "Client connections closed at once because the listener had its maximum.";
    family("gateway_connections_refused_total", Counter, help, |listener| listener.sum(|slot| &slot.refused));
}

fn clients(text: &mut Text, registry: &Registry) {
    let node = registry.node();
    text.single("gateway_in_flight_requests", Gauge, "Requests being answered now.", node.in_flight());
    let aborts = node.sum(|counts| &counts.client_aborts);
    text.single(
        "gateway_client_aborts_total",
        Counter,
        "Clients that left before their response was complete.",
        aborts,
    );
    let name = "gateway_timeouts_total";
    text.heading(name, Counter, "Waits on a client that ended by their deadline.");
    for (index, kind) in TIMEOUTS.iter().enumerate() {
        let count = node.sum_at(index, |counts| &counts.timeouts);
        text.series(name, &Labels::new("kind", kind), count);
    }
}

fn services(text: &mut Text, registry: &Registry) {
    let services = registry.services.list();
    let mut family = |name: &str, kind, help: &str, print: fn(&mut Text, &str, &Labels, &ServiceMetrics)| {
        text.heading(name, kind, help);
        for (service, metrics) in &services {
            print(text, name, &Labels::new("service", service), metrics);
        }
    };
    let help = "Connections opened to a service.";
    family("gateway_upstream_connections_total", Counter, help, |text, name, labels, metrics| {
        text.series(name, labels, metrics.sum(|slot| &slot.opened));
    });
    let help = "Connections to a service now, waiting in the pool (idle) or carrying a request (active).";
    family("gateway_backend_connections", Gauge, help, |text, name, labels, metrics| {
        text.series(name, &labels.clone().and("state", "idle"), metrics.sum(|slot| &slot.idle));
        text.series(name, &labels.clone().and("state", "active"), metrics.sum(|slot| &slot.active));
    });
    let help = "Attempts at a service that failed, by fault.";
    family("gateway_upstream_failures_total", Counter, help, |text, name, labels, metrics| {
        for (fault, count) in metrics.faults() {
            text.series(name, &labels.clone().and("fault", fault), count);
        }
    });
    let help = "Requests refused with 503 on behalf of a service, by cause.";
    family("gateway_service_unavailable_total", Counter, help, |text, name, labels, metrics| {
        for (cause, count) in metrics.causes() {
            text.series(name, &labels.clone().and("cause", cause), count);
        }
    });
    let help = "Requests sent again because a pooled connection had been closed.";
    family("gateway_stale_resends_total", Counter, help, |text, name, labels, metrics| {
        text.series(name, labels, metrics.sum(|slot| &slot.resent));
    });
}

fn service_states(text: &mut Text, external: &External) {
    scrape_breakers::print(text, &external.breakers);
}

fn queues(text: &mut Text, external: &External) {
    let records = external.records;
    text.single(
        "gateway_limit_keys",
        Gauge,
        "Callers that limit counters are kept for.",
        external.limit_keys,
    );
    let help = "Callers for whom no limit counter was free.";
    text.single("gateway_limit_full_total", Counter, help, external.limit_full);
    text.single("gateway_records_total", Counter, "Records handed to the queue.", records.written);
    let help = "Records lost because the queue was full.";
    text.single("gateway_records_dropped_total", Counter, help, records.dropped);
    text.single("gateway_records_queued", Gauge, "Records waiting in the queue.", records.queued);
}

fn node(text: &mut Text, registry: &Registry, external: &External) {
    let help = "Version of the configuration that is live.";
    text.single("gateway_config_version", Gauge, help, external.config_version);
    let help = "Unix time at which the live configuration was applied.";
    text.single_seconds("gateway_config_applied_timestamp_seconds", help, external.config_applied_ms);
    text.single_seconds("gateway_uptime_seconds", "Time since the engine started.", external.uptime_ms);
    let name = "gateway_build_info";
    text.heading(name, Gauge, "Always 1; the labels say which software this node runs.");
    let labels = Labels::new("version", &external.software).and("instance", &external.node);
    text.series(name, &labels, 1);
    let panics = registry.node().sum(|counts| &counts.panics);
    let help = "Panics that ended a connection and not the worker.";
    text.single("gateway_worker_panics_total", Counter, help, panics);
}
