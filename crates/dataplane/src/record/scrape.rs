//! Everything counted, as Prometheus text. Reads with relaxed loads; no worker waits for a scrape.

use super::codes::CODES;
use super::counts::{ALGORITHMS, REASONS, TIMEOUTS};
use super::external::{External, LimitLine};
use super::histogram::{Overhead, Whole};
use super::malformed::{MALFORMED, reason};
use super::metrics::{RouteTotals, Tally};
use super::registry::{Family, Registry};
use super::text::Kind::{Counter, Gauge, Histogram};
use super::text::{Labels, Text};
use super::{
    addresses, keys, logins, revocations, rules, scrape_breakers, scrape_instances, scrape_listeners,
    scrape_retries, scrape_services, scrape_websockets, shared_limits,
};
use crate::refusal::Reason;

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
    excused(&mut text, &routes);
    refusals(&mut text, registry);
    overload(&mut text, registry, external);
    concurrency(&mut text, external);
    pending(&mut text, external);
    authentication(&mut text, registry);
    keys::print(&mut text, registry, external);
    revocations::print(&mut text, external);
    rules::print(&mut text, registry);
    shared_limits::print(&mut text, registry, external);
    addresses::print(&mut text, registry, external);
    logins::print(&mut text, registry);
    scrape_listeners::print(&mut text, registry);
    workers(&mut text, registry, external);
    clients(&mut text, registry);
    compression(&mut text, registry);
    scrape_services::print(&mut text, registry);
    scrape_retries::print(&mut text, registry);
    scrape_websockets::print(&mut text, registry);
    registry.tenants().print(&mut text);
    scrape_breakers::print(&mut text, &external.breakers);
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

fn excused(text: &mut Text, routes: &[RouteLine]) {
    let name = "gateway_authentication_grace_total";
    text.heading(name, Counter, "Requests without a credential that a grace period let pass.");
    for line in routes.iter().filter(|line| line.totals.excused > 0) {
        text.series(name, &line.route, line.totals.excused);
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
    let name = "gateway_rate_limit_dry_run_total";
    text.heading(name, Counter, "Requests that a tier with `dry_run` would have refused.");
    tallies(text, name, "tier", &registry.trials);
}

fn overload(text: &mut Text, registry: &Registry, external: &External) {
    let name = "gateway_requests_shed_total";
    text.heading(
        name,
        Counter,
        "Requests shed, by the priority of their route and what the node was short of.",
    );
    for reason in REASONS {
        for (priority, count) in registry.node().shed(reason) {
            let labels = Labels::new("priority", priority.text()).and("reason", reason.text());
            text.series(name, &labels, count);
        }
    }
    let now = external.overload;
    let name = "gateway_shed_priorities";
    text.heading(name, Gauge, "Priorities that are refused now, the least important first: 4 is everything.");
    for (reason, refused) in [(Reason::Cpu, now.cpu_refused), (Reason::Memory, now.memory_refused)] {
        text.series(name, &Labels::new("reason", reason.text()), u64::from(refused));
    }
    let help = "Use of the processors that the node may use, averaged.";
    text.single("gateway_cpu_percent", Gauge, help, u64::from(now.cpu_percent));
    let help = "Use of the memory that the node may use.";
    text.single("gateway_memory_percent", Gauge, help, u64::from(now.memory_percent));
    let help = "Memory that the node may use.";
    text.single("gateway_memory_limit_bytes", Gauge, help, now.memory_limit);
}

fn concurrency(text: &mut Text, external: &External) {
    let name = "gateway_concurrency_limit";
    text.heading(name, Gauge, "Requests that a service may have in flight, where limits adapt.");
    for line in &external.concurrencies {
        text.series(name, &Labels::new("service", &line.service), u64::from(line.limit));
    }
    let name = "gateway_concurrency_in_flight";
    text.heading(name, Gauge, "Requests that a service has in flight, where limits adapt.");
    for line in &external.concurrencies {
        text.series(name, &Labels::new("service", &line.service), u64::from(line.in_flight));
    }
}

fn pending(text: &mut Text, external: &External) {
    let name = "gateway_upstream_pending_requests";
    text.heading(name, Gauge, "Requests that wait for a connection to a service now.");
    for line in &external.pending {
        text.series(name, &Labels::new("service", &line.service), u64::from(line.requests));
    }
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

pub(super) fn tallies(text: &mut Text, name: &str, label: &str, family: &Family<Tally>) {
    for (value, tally) in family.list() {
        text.series(name, &Labels::new(label, &value), tally.get());
    }
}

fn workers(text: &mut Text, registry: &Registry, external: &External) {
    let name = "gateway_worker_connections";
    text.heading(name, Gauge, "Client connections open now, by worker.");
    for (worker, open) in external.worker_connections.iter().enumerate() {
        text.series(name, &Labels::new("worker", &worker.to_string()), u64::from(*open));
    }
    let handed = registry.node().sum(|counts| &counts.handed_over);
    let help = "Client connections that a worker with more than its share gave to another.";
    text.single("gateway_connections_handed_over_total", Counter, help, handed);
    let pauses = registry.node().sum(|counts| &counts.accept_pauses);
    let help = "Pauses in accepting connections because no descriptor or memory was left.";
    text.single("gateway_accept_pauses_total", Counter, help, pauses);
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

fn compression(text: &mut Text, registry: &Registry) {
    let node = registry.node();
    let name = "gateway_compressed_responses_total";
    text.heading(name, Counter, "Answers of services that were compressed.");
    for (index, algorithm) in ALGORITHMS.iter().enumerate() {
        let count = node.sum_at(index, |counts| &counts.compressed);
        text.series(name, &Labels::new("algorithm", algorithm), count);
    }
    let name = "gateway_compression_bytes_total";
    text.heading(name, Counter, "Bytes of those answers, before (in) and after (out) compressing.");
    for (index, algorithm) in ALGORITHMS.iter().enumerate() {
        let labels = Labels::new("algorithm", algorithm);
        let (before, after) = (
            node.sum_at(index, |counts| &counts.bytes_before),
            node.sum_at(index, |counts| &counts.bytes_after),
        );
        text.series(name, &labels.clone().and("direction", "in"), before);
        text.series(name, &labels.and("direction", "out"), after);
    }
    let skipped = node.sum(|counts| &counts.compressions_skipped);
    let help = "Answers that were not compressed because `node.max_compressions` were.";
    text.single("gateway_compressions_skipped_total", Counter, help, skipped);
}

fn limits(text: &mut Text, now: &LimitLine) {
    text.single("gateway_limit_keys", Gauge, "Callers that limit counters are kept for.", now.keys);
    let help = "Callers for whom no limit counter was free.";
    text.single("gateway_limit_full_total", Counter, help, now.full);
    text.single("gateway_limit_waiting", Gauge, "Requests that wait in leaky buckets now.", now.waiting);
    let help = "Requests refused because as many waited in leaky buckets as may.";
    text.single("gateway_limit_waiting_full_total", Counter, help, now.waiting_full);
    text.single("gateway_limit_bans", Gauge, "Callers that are banned now.", now.bans);
    text.single("gateway_limit_bans_total", Counter, "Bans that began.", now.bans_so_far);
    let help = "Tiers whose limit was set by hand and holds now.";
    text.single("gateway_limit_emergencies", Gauge, help, now.emergencies);
}

fn queues(text: &mut Text, external: &External) {
    let records = external.records;
    limits(text, &external.limits);
    let help = "Files on their way to clients now.";
    text.single("gateway_file_transfers", Gauge, help, external.file_transfers);
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
