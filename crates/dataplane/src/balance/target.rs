//! The choice of one instance for one request, and what became of it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::breaker::Ticket;
use super::instance::Instance;
use super::service::Service;
use crate::refusal::{Refusal, Unavailable};

/// How a request ended, in the eyes of breaker and health.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The service answered, and not with a failure.
    Success,
    /// The service answered with a failure or too late: counts for the breaker alone.
    Failure,
    /// The connection failed: counts for the breaker, and for the health of the instance like a failed probe.
    Unreachable,
    /// Says nothing about the service: the client hung up, the gateway refused.
    Neutral,
}

/// An instance that may be sent one request. Only [`pick`] makes one. Dropping it without [`Target::finish`] counts as
/// `Neutral`, so no path can leak a place.
#[derive(Debug)]
pub struct Target {
    pub service: Arc<Service>,
    pub instance: Arc<Instance>,
    ticket: Option<Ticket>,
}

/// Chooses an instance. `use_breaker` is the route's (requirement BH-19): without it the breaker neither refuses nor
/// counts this request.
///
/// Refuses with `ServiceUnavailable`: `NoInstance` for an empty list, `NoHealthyInstance` with the interval of the
/// health check, `BreakerOpen` with the time left.
pub fn pick(service: &Arc<Service>, use_breaker: bool, now: Instant) -> Result<Target, Refusal> {
    let roster = service.roster.load();
    let Some(instance) = roster.propose(|instance| service.may_use(instance)) else {
        let cause = if roster.is_empty() { Unavailable::NoInstance } else { Unavailable::NoHealthyInstance };
        return Err(unavailable(cause, service.retry_after()));
    };
    let ticket = if use_breaker && service.breaker_settings.is_some() {
        let refuse = |remaining| unavailable(Unavailable::BreakerOpen, remaining);
        Some(service.breaker.admit(now).map_err(refuse)?)
    } else {
        None
    };
    instance.enter();
    Ok(Target { service: Arc::clone(service), instance: Arc::clone(instance), ticket })
}

fn unavailable(cause: Unavailable, retry_after: Duration) -> Refusal {
    Refusal::ServiceUnavailable { cause, retry_after }
}

impl Target {
    /// Says how the request ended. `now` is the moment at which it did.
    pub fn finish(mut self, outcome: Outcome, now: Instant) {
        match outcome {
            Outcome::Success => {
                self.instance.served();
                self.count(false, now);
            }
            Outcome::Failure => self.count(true, now),
            Outcome::Unreachable => {
                self.fail_health();
                self.count(true, now);
            }
            // The drop that follows gives the ticket back.
            Outcome::Neutral => {}
        }
    }

    fn count(&mut self, failed: bool, now: Instant) {
        if let Some(settings) = &self.service.breaker_settings
            && let Some(ticket) = self.ticket.take()
        {
            self.service.breaker.record(ticket, failed, settings, now);
        }
    }

    fn fail_health(&self) {
        if let Some(settings) = &self.service.health_check
            && self.instance.observe(false, settings).is_some()
        {
            self.service.events.health_changed();
        }
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        self.instance.leave();
        if let Some(ticket) = self.ticket.take() {
            self.service.breaker.release(ticket);
        }
    }
}
