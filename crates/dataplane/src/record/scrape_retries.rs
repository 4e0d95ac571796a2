//! Further attempts, as Prometheus text.

use super::page::Kind::Counter;
use super::page::{Labels, Page};
use super::registry::Registry;
use super::services::ServiceMetrics;

pub(super) fn print(page: &mut Page, registry: &Registry) {
    let services = registry.services.list();
    let mut family = |name: &str, help: &str, print: fn(&mut Page, &str, &Labels, &ServiceMetrics)| {
        page.heading(name, Counter, help);
        for (service, metrics) in &services {
            print(page, name, &Labels::new("service", service), metrics);
        }
    };
    let help = "Further attempts at a service that a route's `retry` asked for, by what they answer.";
    family("gateway_retries_total", help, |page, name, labels, metrics| {
        for (reason, count) in metrics.retries() {
            page.series(name, &labels.clone().and("reason", reason), count);
        }
    });
    let help = "Attempts at a service beside the first that a route's `hedge` asked for, by how they ended.";
    family("gateway_hedges_total", help, |page, name, labels, metrics| {
        for (result, count) in metrics.hedges() {
            page.series(name, &labels.clone().and("result", result), count);
        }
    });
    let help = "Further attempts that were not made because the service's budget of them was used up.";
    family("gateway_retry_budget_exhausted_total", help, |page, name, labels, metrics| {
        page.series(name, labels, metrics.sum(|slot| &slot.budget_exhausted));
    });
    let dropped = registry.node().sum(|counts| &counts.retry_bodies_dropped);
    let help = "Bodies that were not kept for another attempt because of `node.max_retry_memory`.";
    page.single("gateway_retry_bodies_dropped_total", Counter, help, dropped);
}
