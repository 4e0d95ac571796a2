//! What Prometheus reads.

mod world;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::*;
use crate::refusal::{Barrier, Malformed, Reason, Refusal, RuleFault, Unavailable, UpstreamFault};
use crate::snapshot::document::Priority;
use world::*;

/// Every metric of the reference, with its type.
const METRICS: &str = "requests_total:counter metric_names_shared:gauge record_bytes_total:counter request_duration_seconds:histogram upstream_duration_seconds:histogram \
    total_duration_seconds:histogram request_bytes_total:counter response_bytes_total:counter refusals_total:counter \
    malformed_total:counter rate_limited_total:counter authentication_failures_total:counter \
    authentication_grace_total:counter \
    token_cache_hits_total:counter token_cache_misses_total:counter connections_total:counter connections_open:gauge \
    connections_refused_total:counter http2_connections_total:counter listener_requests_total:counter \
    http2_resets_total:counter http2_floods_total:counter in_flight_requests:gauge client_aborts_total:counter timeouts_total:counter \
    upstream_connections_total:counter backend_connections:gauge upstream_failures_total:counter \
    stale_resends_total:counter service_unavailable_total:counter breaker_state:gauge breaker_admitted_percent:gauge \
    breaker_opened_timestamp_seconds:gauge breaker_open_seconds_total:counter breaker_refused_total:counter \
    breaker_transitions_total:counter instance_healthy:gauge \
    instance_state:gauge instance_requests_total:counter instance_in_flight_requests:gauge \
    instance_ejections_total:counter ejections_prevented_total:counter balance_panic:gauge balance_panics_total:counter \
    limit_keys:gauge limit_full_total:counter rate_limit_dry_run_total:counter limit_waiting:gauge \
    limit_waiting_full_total:counter limit_banned:gauge limit_bans_total:counter limit_emergencies:gauge records_total:counter records_dropped_total:counter \
    records_queued:gauge config_version:gauge config_applied_timestamp_seconds:gauge uptime_seconds:gauge \
    build_info:gauge worker_panics_total:counter records_sampled_out_total:counter requests_coarsened_total:counter tls_handshakes_total:counter tls_handshakes_open:gauge \
    requests_shed_total:counter shed_priorities:gauge cpu_percent:gauge \
    memory_percent:gauge memory_limit_bytes:gauge worker_connections:gauge concurrency_limit:gauge \
    concurrency_in_flight:gauge upstream_pending_requests:gauge connections_handed_over_total:counter \
    accept_pauses_total:counter connections_per_client_refused_total:counter upstream_streams:gauge \
    compressed_responses_total:counter compression_bytes_total:counter compressions_skipped_total:counter \
    retries_total:counter retry_budget_exhausted_total:counter retry_bodies_dropped_total:counter hedges_total:counter \
    file_transfers:gauge proxy_protocol_errors_total:counter websocket_connections:gauge \
    websocket_messages_total:counter websocket_closed_total:counter \
    tenant_requests_total:counter tenant_limited_total:counter tenants:gauge \
    rule_failures_total:counter \
    key_lookups_total:counter key_cache_keys:gauge key_cache_evictions_total:counter \
    token_revocations:gauge token_revocations_limit:gauge token_revocations_covered:gauge \
    token_proofs:gauge token_proofs_full_total:counter \
    token_introspections_total:counter token_introspection_cache_tokens:gauge \
    wait_duration_seconds:histogram limit_store_duration_seconds:histogram limit_store_failures_total:counter limit_fallbacks_total:counter \
    limit_store_workers:gauge limit_store_openings_total:counter limit_nodes:gauge limit_store_bypassed:gauge \
    addresses_refused_total:counter address_list_refused_total:counter address_blocks:gauge \
    address_file_entries:gauge address_file_bytes:gauge address_file_loaded_timestamp_seconds:gauge \
    logins_total:counter \
    password_checks_total:counter password_cache_passwords:gauge nonces:gauge nonces_full_total:counter";

/// Some series of `busy`.
const PRINTED: [&str; 104] = [
    r#"gateway_wait_duration_seconds_sum{cause="key_store"} 0.030000"#,
    r#"gateway_metric_names_shared{kind="route"} 0"#,
    r#"gateway_record_bytes_total{route="users"} 1200"#,
    r#"gateway_token_introspections_total{outcome="full"} 1"#,
    r#"gateway_token_introspection_cache_tokens{state="refused"} 6"#,
    r#"gateway_rule_failures_total{reason="repeated"} 1"#,
    "gateway_token_proofs_full_total 5",
    r#"gateway_authentication_grace_total{route="users"} 1"#,
    "gateway_token_revocations 7",
    "gateway_token_revocations_covered 2",
    r#"gateway_tenant_requests_total{tenant="acme",status="2xx"} 1"#,
    r#"gateway_tenant_requests_total{tenant="acme",status="4xx"} 1"#,
    r#"gateway_tenant_limited_total{tenant="acme"} 1"#,
    "gateway_tenants 1",
    r#"gateway_limit_store_duration_seconds_bucket{le="0.0005"} 1"#,
    r#"gateway_limit_store_failures_total{reason="late"} 1"#,
    r#"gateway_limit_fallbacks_total{mode="closed"} 1"#,
    r#"gateway_limit_store_workers{state="connected"} 1"#,
    r#"gateway_limit_store_workers{state="open"} 2"#,
    "gateway_limit_store_openings_total 4",
    "gateway_limit_nodes 3",
    "gateway_limit_store_bypassed 1",
    r#"gateway_addresses_refused_total{reason="denied"} 1"#,
    r#"gateway_address_list_refused_total{list="spam"} 1"#,
    "gateway_address_blocks 4",
    r#"gateway_address_file_entries{kind="addresses",list="spam"} 5000000"#,
    r#"gateway_address_file_bytes{kind="addresses",list="spam"} 40000000"#,
    r#"gateway_address_file_loaded_timestamp_seconds{kind="addresses",list="spam"} 1700000000.000"#,
    r#"gateway_logins_total{event="refresh_refused"} 1"#,
    r#"gateway_key_cache_keys{state="known"} 7"#,
    r#"gateway_key_cache_evictions_total 3"#,
    r#"gateway_password_checks_total{outcome="failed"} 1"#,
    r#"gateway_password_cache_passwords{state="wrong"} 2"#,
    r#"gateway_nonces_full_total 3"#,
    r#"gateway_key_lookups_total{outcome="late"} 1"#,
    r#"gateway_concurrency_limit{service="users"} 20"#,
    r#"gateway_concurrency_in_flight{service="users"} 2"#,
    r#"gateway_upstream_pending_requests{service="users"} 3"#,
    r#"gateway_worker_connections{worker="1"} 4"#,
    r#"gateway_websocket_connections{route="users"} 1"#,
    r#"gateway_websocket_messages_total{route="users",direction="out"} 3"#,
    r#"gateway_websocket_closed_total{route="users",reason="idle"} 1"#,
    r#"gateway_connections_per_client_refused_total{listener="public"} 5"#,
    r#"gateway_proxy_protocol_errors_total{listener="public"} 2"#,
    r#"gateway_requests_shed_total{priority="P3",reason="cpu"} 1"#,
    r#"gateway_shed_priorities{reason="memory"} 2"#,
    "gateway_cpu_percent 61",
    "gateway_memory_percent 81",
    "gateway_memory_limit_bytes 1000",
    r#"gateway_requests_total{route="users",service="users-service",status="200"} 2"#,
    r#"gateway_requests_total{route="none",service="",status="404"} 1"#,
    r#"gateway_request_duration_seconds_bucket{route="users",le="0.00025"} 0"#,
    r#"gateway_request_duration_seconds_bucket{route="users",le="0.0005"} 2"#,
    r#"gateway_request_duration_seconds_bucket{route="users",le="+Inf"} 2"#,
    r#"gateway_request_duration_seconds_sum{route="users"} 0.000800"#,
    r#"gateway_total_duration_seconds_count{route="users"} 2"#,
    r#"gateway_upstream_duration_seconds_bucket{route="users",service="users-service",le="0.05"} 2"#,
    r#"gateway_response_bytes_total{route="users"} 2048"#,
    r#"gateway_refusals_total{code="bad_request"} 1"#,
    r#"gateway_malformed_total{reason="bare_line_feed"} 1"#,
    r#"gateway_rate_limited_total{tier="standard"} 1"#,
    r#"gateway_authentication_failures_total{identity="mobile"} 1"#,
    r#"gateway_authentication_failures_total{identity="none"} 1"#,
    r#"gateway_connections_total{listener="public"} 3"#,
    r#"gateway_connections_open{listener="public"} 2"#,
    r#"gateway_connections_refused_total{listener="public"} 1"#,
    r#"gateway_tls_handshakes_open{listener="public"} 0"#,
    r#"gateway_tls_handshakes_total{listener="public",outcome="resumed"} 1"#,
    "gateway_in_flight_requests 3",
    r#"gateway_timeouts_total{kind="body"} 1"#,
    r#"gateway_upstream_connections_total{service="users-service"} 2"#,
    r#"gateway_backend_connections{service="users-service",state="active"} 1"#,
    r#"gateway_upstream_failures_total{service="users-service",fault="connection_reset"} 1"#,
    r#"gateway_breaker_state{service="users"} 2"#,
    r#"gateway_breaker_admitted_percent{service="users"} 0"#,
    r#"gateway_breaker_opened_timestamp_seconds{service="users"} 1700000000"#,
    r#"gateway_breaker_open_seconds_total{service="users"} 61"#,
    r#"gateway_breaker_refused_total{service="users"} 7"#,
    r#"gateway_breaker_transitions_total{service="users",from="closed",to="open",reason="failure_ratio"} 9"#,
    r#"gateway_instance_healthy{service="users",instance="a:1"} 0"#,
    r#"gateway_service_unavailable_total{service="users-service",cause="too_many_in_flight"} 1"#,
    r#"gateway_instance_state{service="users",instance="a:1",state="ejected"} 1"#,
    r#"gateway_instance_requests_total{service="users",instance="a:1"} 10"#,
    r#"gateway_instance_in_flight_requests{service="users",instance="a:1"} 4"#,
    r#"gateway_instance_ejections_total{service="users",instance="a:1"} 6"#,
    r#"gateway_ejections_prevented_total{service="users"} 8"#,
    r#"gateway_balance_panic{service="users"} 1"#,
    r#"gateway_balance_panics_total{service="users"} 7"#,
    "gateway_limit_keys 5",
    "gateway_limit_full_total 6",
    "gateway_limit_waiting 7",
    "gateway_limit_waiting_full_total 8",
    "gateway_limit_banned 9",
    "gateway_limit_bans_total 10",
    "gateway_limit_emergencies 11",
    r#"gateway_rate_limit_dry_run_total{tier="standard"} 1"#,
    "gateway_records_total 10",
    "gateway_records_dropped_total 2",
    "gateway_records_queued 3",
    "gateway_requests_coarsened_total 5",
    "gateway_config_version 7",
    "gateway_config_applied_timestamp_seconds 1738852200.042",
    "gateway_uptime_seconds 61.500",
    r#"gateway_build_info{version="0.1.0",instance="gateway-3"} 1"#,
];

/// Name of the family that a series belongs to.
fn family(line: &str) -> &str {
    let name = line.split(['{', ' ']).next().unwrap_or_default();
    let histogram = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| name.strip_suffix(suffix));
    histogram.filter(|name| name.ends_with("_duration_seconds")).unwrap_or(name)
}

#[test]
fn every_metric_of_the_reference_is_printed_with_help_type_and_a_series() {
    let (registry, external) = busy();
    let text = page(&registry, &external);
    let mut types = BTreeMap::new();
    let mut helped = BTreeSet::new();
    let mut current = "";
    let mut seen = BTreeSet::new();
    for line in text.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            assert!(helped.insert(help.split(' ').next().unwrap_or_default()), "two headings: {line}");
        } else if let Some(heading) = line.strip_prefix("# TYPE ") {
            let (name, kind) = heading.split_once(' ').expect("a type");
            (current, _) = (name, types.insert(name, kind));
        } else {
            assert_eq!(family(line), current, "a series away from its heading");
            seen.insert(current);
        }
    }
    let expected: BTreeMap<String, &str> = METRICS
        .split_whitespace()
        .filter_map(|metric| metric.split_once(':'))
        .map(|(name, kind)| (format!("gateway_{name}"), kind))
        .collect();
    let printed: BTreeMap<String, &str> =
        types.iter().map(|(name, kind)| ((*name).to_owned(), *kind)).collect();
    assert_eq!(printed, expected);
    assert!(expected.keys().all(|name| seen.contains(name.as_str()) && helped.contains(name.as_str())));
}

#[test]
fn what_was_counted_is_what_is_printed() {
    let (registry, external) = busy();
    let text = page(&registry, &external);
    let lines: BTreeSet<&str> = text.lines().collect();
    for line in PRINTED {
        assert!(lines.contains(line), "{line} is not in\n{text}");
    }
}

#[test]
fn no_series_is_printed_twice() {
    let (registry, external) = busy();
    let text = page(&registry, &external);
    let series: Vec<&str> =
        text.lines().filter_map(|line| line.rsplit_once(' ')).map(|(series, _)| series).collect();
    let unique: BTreeSet<&str> = series.iter().copied().filter(|series| !series.starts_with('#')).collect();
    assert_eq!(series.iter().filter(|series| !series.starts_with('#')).count(), unique.len());
}

#[test]
fn an_unused_route_has_no_series() {
    let registry = Registry::new(1);
    let route = registry.route("quiet", "s");
    assert!(!page(&registry, &External::default()).contains("quiet"));
    drop(route);
}

#[test]
fn a_hostile_name_stays_inside_its_label() {
    let registry = Registry::new(1);
    registry.route("a\"} 1\nevil 2", "s").observe(0, &SAMPLE, None);
    let text = page(&registry, &External::default());
    assert!(text.contains(r#"route="a\"} 1\nevil 2","#));
    assert!(text.lines().all(|line| line.starts_with('#') || line.starts_with("gateway_")));
}

#[test]
fn workers_count_while_a_scrape_reads() {
    let registry = Arc::new(Registry::new(2));
    let writers: Vec<_> = (0..2)
        .map(|worker| {
            let route = registry.route("users", "s");
            std::thread::spawn(move || (0..20_000).for_each(|_| route.observe(worker, &SAMPLE, None)))
        })
        .collect();
    while writers.iter().any(|writer| !writer.is_finished()) {
        assert!(page(&registry, &External::default()).contains("gateway_uptime_seconds"));
    }
    assert!(writers.into_iter().all(|writer| writer.join().is_ok()));
    let text = page(&registry, &External::default());
    assert!(text.contains(r#"gateway_requests_total{route="users",service="s",status="200"} 40000"#));
}

#[test]
fn instances_and_breakers_beyond_the_bound_share_one_series() {
    let registry = Registry::new(1);
    registry.set_most(1);
    let (_, mut external) = busy();
    let more = ["b:1", "c:1"]
        .map(|name| InstanceLine { instance: name.to_owned(), ..external.instances[0].clone() });
    external.instances.extend(more);
    let breaker = |service: &str, state, refused| BreakerLine {
        service: service.to_owned(),
        state,
        refused,
        ..external.breakers[0].clone()
    };
    external.breakers = vec![
        breaker("users", BreakerState::Closed, 1),
        breaker("orders", BreakerState::Open, 2),
        breaker("carts", BreakerState::Closed, 4),
    ];
    let text = page(&registry, &external);
    for line in [
        "gateway_metric_names_shared{kind=\"breaker\"} 2\n",
        "gateway_breaker_refused_total{service=\"users\"} 1\n",
        "gateway_breaker_refused_total{service=\"other\"} 6\n",
        "gateway_breaker_state{service=\"other\"} 2\n",
        "gateway_instance_requests_total{service=\"other\",instance=\"other\"} ",
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
    assert!(!text.contains("orders") && !text.contains("c:1"));
}

/// `cargo test --profile quick -p dataplane --lib record::scrape_tests -- --ignored --nocapture`
#[test]
#[ignore = "prints times and proves nothing; with GATEWRIGHT_METRICS_FILE also writes what promtool checks"]
fn time_of_a_scrape_and_of_one_observation() {
    let registry = Registry::new(2);
    for index in 0..1_000 {
        let route = registry.route(&format!("route-{index}"), "service");
        (0..2).for_each(|worker| route.observe(worker, &SAMPLE, None));
    }
    let start = Instant::now();
    let bytes = page(&registry, &External::default()).len();
    println!("{:?} for {bytes} bytes of 1,000 routes", start.elapsed());
    let route = registry.route("route-0", "service");
    let start = Instant::now();
    (0..1_000_000).for_each(|_| route.observe(0, std::hint::black_box(&SAMPLE), None));
    println!("{} ns for an observation", start.elapsed().as_nanos() / 1_000_000);
    if let Some(file) = std::env::var_os("GATEWRIGHT_METRICS_FILE") {
        let (registry, external) = busy();
        std::fs::write(file, page(&registry, &external)).expect("the file can be written");
    }
}
