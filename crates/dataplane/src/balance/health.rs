//! The health of an instance, by the results of its probes: the rule, without clock or sockets.

use crate::snapshot::document::HealthCheckDocument;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transition {
    BecameHealthy,
    BecameUnhealthy,
}

/// Health by consecutive results. Starts healthy unless the settings say otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Health {
    pub healthy: bool,
    /// Failures in a row, from probes and from traffic.
    pub failures: u32,
    /// Successful probes in a row while unhealthy.
    pub successes: u32,
}

impl Default for Health {
    fn default() -> Self {
        Self { healthy: true, failures: 0, successes: 0 }
    }
}

impl Health {
    /// Of an instance that is new. Where it starts unhealthy the first success is enough.
    pub(super) fn starting(settings: Option<&HealthCheckDocument>) -> Self {
        match settings.filter(|settings| settings.starts_unhealthy) {
            Some(settings) => {
                Self { healthy: false, failures: 0, successes: settings.healthy_after.saturating_sub(1) }
            }
            None => Self::default(),
        }
    }

    /// Takes in one result; says whether it changed the verdict.
    pub fn observe(&mut self, ok: bool, settings: &HealthCheckDocument) -> Option<Transition> {
        if !ok {
            self.successes = 0;
            self.failures = (self.failures + 1).min(Self::MOST_FAILURES);
            let falls = self.healthy && self.failures >= settings.unhealthy_after.min(Self::MOST_FAILURES);
            self.healthy &= !falls;
            return falls.then_some(Transition::BecameUnhealthy);
        }
        self.failures = 0;
        if self.healthy {
            return None;
        }
        self.successes = self.successes.saturating_add(1);
        if self.successes < settings.healthy_after {
            return None;
        }
        *self = Self::default();
        Some(Transition::BecameHealthy)
    }

    /// One bit less than a `u32` holds, because the packed form needs one for the verdict.
    const MOST_FAILURES: u32 = u32::MAX >> 1;

    /// As one word, so that it can be changed without a lock.
    pub(super) fn pack(self) -> u64 {
        u64::from(self.successes) << 32 | u64::from(self.failures) << 1 | u64::from(self.healthy)
    }

    pub(super) fn unpack(word: u64) -> Self {
        let low = word as u32;
        Self { healthy: low & 1 == 1, failures: low >> 1, successes: (word >> 32) as u32 }
    }
}
