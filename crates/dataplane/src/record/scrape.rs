//! Everything counted, as a page. Reads with relaxed loads; no worker waits for a scrape.

use std::sync::Arc;

use super::codes::CODES;
use super::counts::{ALGORITHMS, REASONS, TIMEOUTS};
use super::external::{External, LimitLine};
use super::families::Family;
use super::histogram::{Overhead, Whole};
use super::malformed::{MALFORMED, reason};
use super::metrics::{RouteMetrics, RouteTotals, Tally};
use super::named::Named;
use super::page::Kind::{Counter, Gauge, Histogram};
use super::page::{Format, Labels, Page};
use super::registry::Registry;
use super::{
    addresses, keys, logins, revocations, rules, scrape_breakers, scrape_instances, scrape_listeners,
    scrape_retries, scrape_services, scrape_websockets, shared_limits, waits,
};
use crate::refusal::Reason;

/// Room that the fixed part takes, and each route.
const FIXED_BYTES: usize = 16 * 1024;
const BYTES_PER_ROUTE: usize = 6 * 1024;

/// Gives every metric with its heading. A route appears when it has been asked for; labels are names of the
/// configuration or words of ours, never a path and never a client.
///
/// Below them stand `families`, which others count.
pub fn print(registry: &Registry, external: &External, format: Format, families: &[Family]) -> Vec<u8> {
    let routes = route_lines(registry);
    let mut page = Page::new(format, external.span, FIXED_BYTES + routes.len() * BYTES_PER_ROUTE);
    requests(&mut page, &routes);
    durations(&mut page, &routes);
    sizes(&mut page, &routes);
    recorded(&mut page, &routes);
    excused(&mut page, &routes);
    refusals(&mut page, registry);
    overload(&mut page, registry, external);
    concurrency(&mut page, external);
    pending(&mut page, external);
    authentication(&mut page, registry);
    keys::print(&mut page, registry, external);
    revocations::print(&mut page, external);
    rules::print(&mut page, registry);
    shared_limits::print(&mut page, registry, external);
    waits::print(&mut page, registry);
    addresses::print(&mut page, registry, external);
    logins::print(&mut page, registry);
    scrape_listeners::print(&mut page, registry);
    workers(&mut page, registry, external);
    clients(&mut page, registry);
    compression(&mut page, registry);
    scrape_services::print(&mut page, registry);
    scrape_retries::print(&mut page, registry);
    scrape_websockets::print(&mut page, registry);
    registry.tenants().print(&mut page);
    let breakers = scrape_breakers::print(&mut page, registry.most(), &external.breakers);
    let instances = scrape_instances::print(&mut page, registry.most(), external);
    cardinality(&mut page, registry, [("breaker", breakers), ("instance", instances)]);
    queues(&mut page, external);
    node(&mut page, registry, external);
    families.iter().for_each(|family| family.print(&mut page));
    page.finish()
}

struct RouteLine {
    route: Labels,
    with_service: Labels,
    totals: RouteTotals,
    metrics: Arc<RouteMetrics>,
}

fn route_lines(registry: &Registry) -> Vec<RouteLine> {
    let lines = registry.routes.list().into_iter().filter_map(|(name, metrics)| {
        let route = Labels::new("route", &name);
        let with_service = route.clone().and("service", &metrics.service);
        let totals = metrics.totals()?;
        Some(RouteLine { route, with_service, totals, metrics })
    });
    lines.collect()
}

fn requests(page: &mut Page, routes: &[RouteLine]) {
    let name = "gateway_requests_total";
    page.heading(name, Counter, "Requests answered, by status; unusual statuses by class.");
    for line in routes {
        for (status, count) in line.totals.statuses.seen() {
            page.series(name, &line.with_service.clone().and("status", status), count);
        }
    }
}

fn durations(page: &mut Page, routes: &[RouteLine]) {
    let name = "gateway_request_duration_seconds";
    page.heading(name, Histogram, "The gateway's own share of a request, without the service.");
    for line in routes {
        page.histogram::<Overhead>(name, &line.route, &line.metrics.overhead());
    }
    let name = "gateway_upstream_duration_seconds";
    page.heading(name, Histogram, "The service's share of a request.");
    // A route that never reached a service would only add empty buckets.
    for line in routes {
        let upstream = line.metrics.upstream();
        if !upstream.is_empty() {
            page.histogram::<Whole>(name, &line.with_service, &upstream);
        }
    }
    let name = "gateway_total_duration_seconds";
    page.heading(name, Histogram, "A request from its first byte to the last byte of its response.");
    for line in routes {
        page.histogram::<Whole>(name, &line.route, &line.metrics.total());
    }
}

fn sizes(page: &mut Page, routes: &[RouteLine]) {
    let name = "gateway_request_bytes_total";
    page.heading(name, Counter, "Bytes received in heads and bodies of requests.");
    for line in routes {
        page.series(name, &line.route, line.totals.request_bytes);
    }
    let name = "gateway_response_bytes_total";
    page.heading(name, Counter, "Bytes sent in heads and bodies of responses.");
    for line in routes {
        page.series(name, &line.route, line.totals.response_bytes);
    }
}

fn recorded(page: &mut Page, routes: &[RouteLine]) {
    let name = "gateway_record_bytes_total";
    page.heading(name, Counter, "Bytes of records that were written of a route's requests.");
    for line in routes {
        page.series(name, &line.route, line.totals.record_bytes);
    }
}

fn excused(page: &mut Page, routes: &[RouteLine]) {
    let name = "gateway_authentication_grace_total";
    page.heading(name, Counter, "Requests without a credential that a grace period let pass.");
    for line in routes.iter().filter(|line| line.totals.excused > 0) {
        page.series(name, &line.route, line.totals.excused);
    }
}

fn refusals(page: &mut Page, registry: &Registry) {
    let name = "gateway_refusals_total";
    page.heading(name, Counter, "Requests that the gateway itself refused, by error code.");
    for (index, code) in CODES.iter().enumerate() {
        let count = registry.node().sum_at(index, |counts| &counts.refusals);
        page.series(name, &Labels::new("code", code), count);
    }
    let name = "gateway_malformed_total";
    page.heading(name, Counter, "Requests refused as malformed, by reason.");
    for (index, malformed) in MALFORMED.into_iter().enumerate() {
        let count = registry.node().sum_at(index, |counts| &counts.malformed);
        page.series(name, &Labels::new("reason", reason(malformed)), count);
    }
    let name = "gateway_rate_limited_total";
    page.heading(name, Counter, "Requests over the limit of a tier.");
    tallies(page, name, "tier", &registry.tiers);
    let name = "gateway_rate_limit_dry_run_total";
    page.heading(name, Counter, "Requests that a tier with `dry_run` would have refused.");
    tallies(page, name, "tier", &registry.trials);
}

fn overload(page: &mut Page, registry: &Registry, external: &External) {
    let name = "gateway_requests_shed_total";
    page.heading(
        name,
        Counter,
        "Requests shed, by the priority of their route and what the node was short of.",
    );
    for reason in REASONS {
        for (priority, count) in registry.node().shed(reason) {
            let labels = Labels::new("priority", priority.text()).and("reason", reason.text());
            page.series(name, &labels, count);
        }
    }
    let now = external.overload;
    let name = "gateway_shed_priorities";
    page.heading(name, Gauge, "Priorities that are refused now, the least important first: 4 is everything.");
    for (reason, refused) in [(Reason::Cpu, now.cpu_refused), (Reason::Memory, now.memory_refused)] {
        page.series(name, &Labels::new("reason", reason.text()), u64::from(refused));
    }
    let help = "Use of the processors that the node may use, averaged.";
    page.single("gateway_cpu_percent", Gauge, help, u64::from(now.cpu_percent));
    let help = "Use of the memory that the node may use.";
    page.single("gateway_memory_percent", Gauge, help, u64::from(now.memory_percent));
    let help = "Memory that the node may use.";
    page.single("gateway_memory_limit_bytes", Gauge, help, now.memory_limit);
}

fn concurrency(page: &mut Page, external: &External) {
    let name = "gateway_concurrency_limit";
    page.heading(name, Gauge, "Requests that a service may have in flight, where limits adapt.");
    for line in &external.concurrencies {
        page.series(name, &Labels::new("service", &line.service), u64::from(line.limit));
    }
    let name = "gateway_concurrency_in_flight";
    page.heading(name, Gauge, "Requests that a service has in flight, where limits adapt.");
    for line in &external.concurrencies {
        page.series(name, &Labels::new("service", &line.service), u64::from(line.in_flight));
    }
}

fn pending(page: &mut Page, external: &External) {
    let name = "gateway_upstream_pending_requests";
    page.heading(name, Gauge, "Requests that wait for a connection to a service now.");
    for line in &external.pending {
        page.series(name, &Labels::new("service", &line.service), u64::from(line.requests));
    }
}

fn authentication(page: &mut Page, registry: &Registry) {
    let name = "gateway_authentication_failures_total";
    page.heading(name, Counter, "Requests without a valid credential, by the identity that was tried.");
    tallies(page, name, "identity", &registry.identities);
    let node = registry.node();
    let hits = node.sum(|counts| &counts.token_cache_hits);
    page.single("gateway_token_cache_hits_total", Counter, "Tokens found among those verified before.", hits);
    let misses = node.sum(|counts| &counts.token_cache_misses);
    page.single("gateway_token_cache_misses_total", Counter, "Tokens whose signature was checked.", misses);
}

pub(super) fn tallies(page: &mut Page, name: &str, label: &str, family: &Named<Tally>) {
    for (value, tally) in family.list() {
        page.series(name, &Labels::new(label, &value), tally.get());
    }
}

fn workers(page: &mut Page, registry: &Registry, external: &External) {
    let name = "gateway_worker_connections";
    page.heading(name, Gauge, "Client connections open now, by worker.");
    for (worker, open) in external.worker_connections.iter().enumerate() {
        page.series(name, &Labels::new("worker", &worker.to_string()), u64::from(*open));
    }
    let handed = registry.node().sum(|counts| &counts.handed_over);
    let help = "Client connections that a worker with more than its share gave to another.";
    page.single("gateway_connections_handed_over_total", Counter, help, handed);
    let pauses = registry.node().sum(|counts| &counts.accept_pauses);
    let help = "Pauses in accepting connections because no descriptor or memory was left.";
    page.single("gateway_accept_pauses_total", Counter, help, pauses);
}

fn clients(page: &mut Page, registry: &Registry) {
    let node = registry.node();
    page.single("gateway_in_flight_requests", Gauge, "Requests being answered now.", node.in_flight());
    let aborts = node.sum(|counts| &counts.client_aborts);
    page.single(
        "gateway_client_aborts_total",
        Counter,
        "Clients that left before their response was complete.",
        aborts,
    );
    let name = "gateway_timeouts_total";
    page.heading(name, Counter, "Waits on a client that ended by their deadline.");
    for (index, kind) in TIMEOUTS.iter().enumerate() {
        let count = node.sum_at(index, |counts| &counts.timeouts);
        page.series(name, &Labels::new("kind", kind), count);
    }
}

fn compression(page: &mut Page, registry: &Registry) {
    let node = registry.node();
    let name = "gateway_compressed_responses_total";
    page.heading(name, Counter, "Answers of services that were compressed.");
    for (index, algorithm) in ALGORITHMS.iter().enumerate() {
        let count = node.sum_at(index, |counts| &counts.compressed);
        page.series(name, &Labels::new("algorithm", algorithm), count);
    }
    let name = "gateway_compression_bytes_total";
    page.heading(name, Counter, "Bytes of those answers, before (in) and after (out) compressing.");
    for (index, algorithm) in ALGORITHMS.iter().enumerate() {
        let labels = Labels::new("algorithm", algorithm);
        let (before, after) = (
            node.sum_at(index, |counts| &counts.bytes_before),
            node.sum_at(index, |counts| &counts.bytes_after),
        );
        page.series(name, &labels.clone().and("direction", "in"), before);
        page.series(name, &labels.and("direction", "out"), after);
    }
    let skipped = node.sum(|counts| &counts.compressions_skipped);
    let help = "Answers that were not compressed because `node.max_compressions` were.";
    page.single("gateway_compressions_skipped_total", Counter, help, skipped);
}

fn limits(page: &mut Page, now: &LimitLine) {
    page.single("gateway_limit_keys", Gauge, "Callers that limit counters are kept for.", now.keys);
    let help = "Callers for whom no limit counter was free.";
    page.single("gateway_limit_full_total", Counter, help, now.full);
    page.single("gateway_limit_waiting", Gauge, "Requests that wait in leaky buckets now.", now.waiting);
    let help = "Requests refused because as many waited in leaky buckets as may.";
    page.single("gateway_limit_waiting_full_total", Counter, help, now.waiting_full);
    page.single("gateway_limit_banned", Gauge, "Callers that are banned now.", now.bans);
    page.single("gateway_limit_bans_total", Counter, "Bans that began.", now.bans_so_far);
    let help = "Tiers whose limit was set by hand and holds now.";
    page.single("gateway_limit_emergencies", Gauge, help, now.emergencies);
}

fn queues(page: &mut Page, external: &External) {
    let records = external.records;
    limits(page, &external.limits);
    let help = "Files on their way to clients now.";
    page.single("gateway_file_transfers", Gauge, help, external.file_transfers);
    page.single("gateway_records_total", Counter, "Records handed to the queue.", records.written);
    let help = "Records lost because the queue was full.";
    page.single("gateway_records_dropped_total", Counter, help, records.dropped);
    page.single("gateway_records_queued", Gauge, "Records waiting in the queue.", records.queued);
}

fn cardinality(page: &mut Page, registry: &Registry, others: [(&str, u64); 2]) {
    let name = "gateway_metric_names_shared";
    let help = "Names that share the series of `other` because `metrics.max_names` have their own, by kind.";
    page.heading(name, Gauge, help);
    for (kind, names) in registry.beyond().into_iter().chain(others) {
        page.series(name, &Labels::new("kind", kind), names);
    }
}

fn node(page: &mut Page, registry: &Registry, external: &External) {
    let help = "Version of the configuration that is live.";
    page.single("gateway_config_version", Gauge, help, external.config_version);
    let help = "Unix time at which the live configuration was applied.";
    page.single_seconds("gateway_config_applied_timestamp_seconds", help, external.config_applied_ms);
    page.single_seconds("gateway_uptime_seconds", "Time since the engine started.", external.uptime_ms);
    let name = "gateway_build_info";
    page.heading(name, Gauge, "Always 1; the labels say which software this node runs.");
    let labels = Labels::new("version", &external.software).and("instance", &external.node);
    page.series(name, &labels, 1);
    let panics = registry.node().sum(|counts| &counts.panics);
    let help = "Panics that ended a connection and not the worker.";
    page.single("gateway_worker_panics_total", Counter, help, panics);
    let left_out = registry.node().sum(|counts| &counts.records_left_out);
    let help = "Successes without a record because the weight of others stands for them.";
    page.single("gateway_records_sampled_out_total", Counter, help, left_out);
    let coarsened = registry.node().sum(|counts| &counts.requests_coarsened);
    let help =
        "Requests that roll-ups and alerts had to tell less apart because there were too many kinds of them.";
    page.single("gateway_requests_coarsened_total", Counter, help, coarsened);
}
