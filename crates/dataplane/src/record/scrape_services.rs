//! The metrics of services: connections to them, and attempts that failed.

use super::page::Kind::{Counter, Gauge};
use super::page::{Labels, Page};
use super::registry::Registry;
use super::services::ServiceMetrics;

pub(super) fn print(page: &mut Page, registry: &Registry) {
    let services = registry.services.list();
    let mut family = |name: &str, kind, help: &str, print: fn(&mut Page, &str, &Labels, &ServiceMetrics)| {
        page.heading(name, kind, help);
        for (service, metrics) in &services {
            print(page, name, &Labels::new("service", service), metrics);
        }
    };
    let help = "Connections opened to a service.";
    family("gateway_upstream_connections_total", Counter, help, |page, name, labels, metrics| {
        page.series(name, labels, metrics.sum(|slot| &slot.opened));
    });
    let help = "Connections to a service now, waiting in the pool (idle) or carrying a request (active).";
    family("gateway_backend_connections", Gauge, help, |page, name, labels, metrics| {
        page.series(name, &labels.clone().and("state", "idle"), metrics.sum(|slot| &slot.idle));
        page.series(name, &labels.clone().and("state", "active"), metrics.sum(|slot| &slot.active));
    });
    let help = "Requests under way on HTTP/2 connections to a service now.";
    family("gateway_upstream_streams", Gauge, help, |page, name, labels, metrics| {
        page.series(name, labels, metrics.sum(|slot| &slot.streams));
    });
    let help = "Attempts at a service that failed, by fault.";
    family("gateway_upstream_failures_total", Counter, help, |page, name, labels, metrics| {
        for (fault, count) in metrics.faults() {
            page.series(name, &labels.clone().and("fault", fault), count);
        }
    });
    let help = "Requests refused with 503 on behalf of a service, by cause.";
    family("gateway_service_unavailable_total", Counter, help, |page, name, labels, metrics| {
        for (cause, count) in metrics.causes() {
            page.series(name, &labels.clone().and("cause", cause), count);
        }
    });
    let help = "Requests sent again, without any `retry`, because a connection had been closed or refused.";
    family("gateway_stale_resends_total", Counter, help, |page, name, labels, metrics| {
        page.series(name, labels, metrics.sum(|slot| &slot.resent));
    });
}
