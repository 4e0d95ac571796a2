//! What is counted for each tenant: bounded, whoever invents names.

use std::sync::Arc;

use super::cells::{Cell, PerWorker};
use super::named::{Most, Named, OTHER};
use super::page::Kind::{Counter, Gauge};
use super::page::{Labels, Page};

/// `none`: no response began.
const CLASSES: [&str; 6] = ["none", "1xx", "2xx", "3xx", "4xx", "5xx"];

/// The counters of one tenant.
#[derive(Debug)]
pub struct TenantMetrics {
    slots: PerWorker<Slot>,
}

#[derive(Debug, Default)]
struct Slot {
    classes: [Cell; CLASSES.len()],
    limited: Cell,
}

impl TenantMetrics {
    /// Counts one request. Only the worker of that number may call it with that number.
    pub fn observe(&self, worker: usize, status: u16, limited: bool) {
        let slot = self.slots.slot(worker);
        if let Some(class) = slot.classes.get(usize::from(status / 100)) {
            class.add(1);
        }
        if limited {
            slot.limited.add(1);
        }
    }
}

/// The counters of all tenants, kept from one snapshot to the next.
#[derive(Debug)]
pub struct TenantRegistry {
    workers: usize,
    family: Named<TenantMetrics>,
}

impl TenantRegistry {
    pub(super) fn new(workers: usize, most: &Most) -> Self {
        Self { workers, family: Named::new(most) }
    }

    pub(super) fn beyond(&self) -> u64 {
        self.family.beyond()
    }

    pub fn tenant(&self, name: &str) -> Arc<TenantMetrics> {
        self.family.get_plain(name, || TenantMetrics { slots: PerWorker::new(self.workers) })
    }

    pub(super) fn sweep(&self) {
        self.family.sweep();
    }

    pub(super) fn print(&self, page: &mut Page) {
        let tenants = self.family.list();
        let name = "gateway_tenant_requests_total";
        page.heading(name, Counter, "Requests of a tenant, by the class of their status.");
        for (tenant, metrics) in &tenants {
            for (class, count) in metrics.slots.labelled(&CLASSES, |slot| &slot.classes) {
                page.series(name, &Labels::new("tenant", tenant).and("status", class), count);
            }
        }
        let name = "gateway_tenant_limited_total";
        page.heading(name, Counter, "Requests of a tenant that a tier refused.");
        for (tenant, metrics) in &tenants {
            page.series(name, &Labels::new("tenant", tenant), metrics.slots.sum(|slot| &slot.limited));
        }
        let tracked = tenants.iter().filter(|(tenant, _)| **tenant != *OTHER).count();
        let help = "Tenants with metrics of their own; those beyond `tenants.max` are counted as `other`.";
        page.single("gateway_tenants", Gauge, help, tracked as u64);
    }
}
