//! The metrics of WebSocket connections. A route has them once it has had one.

use std::sync::Arc;

use super::cells::Cell;
use super::metrics::RouteMetrics;
use super::page::Kind::{Counter, Gauge};
use super::page::{Labels, Page};
use super::registry::Registry;
use super::websocket::{CLOSED, DIRECTIONS, WebSocketSlot};

pub(super) fn print(page: &mut Page, registry: &Registry) {
    let mut routes = registry.routes.list();
    routes.retain(|(_, route)| {
        let (open, ended) = (sum(route, |slot| Some(&slot.open)), |index: usize| closed(route, index));
        open > 0 || (0..CLOSED.len()).any(|index| ended(index) > 0)
    });
    let name = "gateway_websocket_connections";
    page.heading(name, Gauge, "WebSocket connections open now.");
    for (route, metrics) in &routes {
        page.series(name, &Labels::new("route", route), sum(metrics, |slot| Some(&slot.open)));
    }
    let name = "gateway_websocket_messages_total";
    page.heading(
        name,
        Counter,
        "Messages of WebSockets that have begun, of clients (in) and services (out).",
    );
    each(page, name, &routes, ("direction", &DIRECTIONS), |route, index| {
        sum(route, |slot| slot.messages.get(index))
    });
    let name = "gateway_websocket_closed_total";
    page.heading(name, Counter, "WebSocket connections that have ended, by why.");
    each(page, name, &routes, ("reason", &CLOSED), closed);
}

fn each(
    page: &mut Page,
    name: &str,
    routes: &[(Arc<str>, Arc<RouteMetrics>)],
    (label, values): (&str, &[&str]),
    count: impl Fn(&RouteMetrics, usize) -> u64,
) {
    for (route, metrics) in routes {
        for (index, value) in values.iter().enumerate() {
            let labels = Labels::new("route", route).and(label, value);
            page.series(name, &labels, count(metrics, index));
        }
    }
}

fn closed(route: &RouteMetrics, index: usize) -> u64 {
    sum(route, |slot| slot.closed.get(index))
}

/// Wraps, since a gauge may be negative in one worker.
fn sum(route: &RouteMetrics, cell: impl Fn(&WebSocketSlot) -> Option<&Cell>) -> u64 {
    route.websockets().filter_map(cell).map(Cell::get).fold(0, u64::wrapping_add)
}
