//! The metrics of listeners.

use std::sync::Arc;

use super::listeners::ListenerMetrics;
use super::page::Kind::{Counter, Gauge};
use super::page::{Labels, Page};
use super::registry::Registry;

pub(super) fn print(page: &mut Page, registry: &Registry) {
    let listeners = registry.listeners.list();
    let mut family = |name: &str, kind, help: &str, value: fn(&ListenerMetrics) -> u64| {
        page.heading(name, kind, help);
        for (listener, metrics) in &listeners {
            page.series(name, &Labels::new("listener", listener), value(metrics));
        }
    };
    family("gateway_connections_total", Counter, "Client connections accepted.", |listener| {
        listener.sum(|slot| &slot.accepted)
    });
    family("gateway_connections_open", Gauge, "Client connections open now.", |listener| {
        listener.sum(|slot| &slot.open)
    });
    let help = "Client connections closed at once because the listener had its maximum.";
    family("gateway_connections_refused_total", Counter, help, |listener| listener.sum(|slot| &slot.refused));
    let help = "Client connections that spoke HTTP/2.";
    family("gateway_http2_connections_total", Counter, help, |listener| {
        listener.sum(|slot| &slot.http2.connections)
    });
    let help = "TLS handshakes in progress now.";
    family("gateway_tls_handshakes_open", Gauge, help, |listener| listener.sum(|slot| &slot.handshakes_open));
    let help = "Client connections closed at once because their client had its maximum.";
    family("gateway_connections_per_client_refused_total", Counter, help, |listener| {
        listener.sum(|slot| &slot.refused_clients)
    });
    let help = "Client connections closed because their PROXY header was wrong, missing or late.";
    family("gateway_proxy_protocol_errors_total", Counter, help, |listener| {
        listener.sum(|slot| &slot.proxy_protocol_errors)
    });
    protocols(page, &listeners);
    handshakes(page, &listeners);
}

fn handshakes(page: &mut Page, listeners: &[(Arc<str>, Arc<ListenerMetrics>)]) {
    let name = "gateway_tls_handshakes_total";
    page.heading(name, Counter, "TLS handshakes of clients, by how they ended.");
    for (listener, metrics) in listeners {
        for (outcome, count) in metrics.handshakes() {
            page.series(name, &Labels::new("listener", listener).and("outcome", outcome), count);
        }
    }
}

fn protocols(page: &mut Page, listeners: &[(Arc<str>, Arc<ListenerMetrics>)]) {
    let mut family = |name: &str, help: &str, label: &str, values: fn(&ListenerMetrics) -> Vec<Value>| {
        page.heading(name, Counter, help);
        for (listener, metrics) in listeners {
            for (value, count) in values(metrics) {
                page.series(name, &Labels::new("listener", listener).and(label, value), count);
            }
        }
    };
    let help = "Requests of clients, by protocol.";
    family("gateway_listener_requests_total", help, "protocol", |listener| listener.requests().collect());
    let help = "Streams of HTTP/2 that were reset, by the client or by the gateway.";
    family("gateway_http2_resets_total", help, "cause", |listener| listener.resets().collect());
    let help = "Connections of HTTP/2 that were closed because their client sent too much of a kind.";
    family("gateway_http2_floods_total", help, "kind", |listener| listener.floods().collect());
}

/// A label and a count.
type Value = (&'static str, u64);
