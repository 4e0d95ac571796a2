//! On what terms instances get requests.

use std::time::Instant;

use super::instance::Instance;
use super::standing::Standing;
use crate::snapshot::document::{BalanceDocument, HealthCheckDocument};

/// What a service says of its instances.
#[derive(Clone, Copy)]
pub(super) struct Terms<'a> {
    pub(super) balance: &'a BalanceDocument,
    pub(super) health: Option<&'a HealthCheckDocument>,
}

impl Terms<'_> {
    /// Failures of traffic count for health only where a check would bring the instance back.
    pub(super) fn standing(self, instance: &Instance, now: Instant) -> Standing {
        if instance.draining_since().is_some() { Standing::Draining } else { self.condition(instance, now) }
    }

    /// The same, whatever anybody wants of it.
    pub(super) fn condition(self, instance: &Instance, now: Instant) -> Standing {
        if self.balance.ejection.is_some() && instance.record.is_out(instance.clock.stamp(now)) {
            Standing::Ejected
        } else if self.health.is_some() && !instance.health().healthy {
            Standing::Unhealthy
        } else {
            Standing::Healthy
        }
    }
}
