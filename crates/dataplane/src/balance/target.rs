//! The choice of one instance for one request, and what became of it.

use std::cell::Cell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::admission;
use super::ask::{Ask, BreakerUse};
use super::breaker::{Breaker, BreakerTransition, Call, Rules, Ticket};
use super::choose::Reason;
use super::ejection::Sign;
use super::instance::Instance;
use super::ledger::Place;
use super::service::Service;
use super::sticky::{self, Bond};
use crate::refusal::Refusal;
use crate::snapshot::document::AlgorithmDocument;
use crate::trail::Inputs;

/// How a request ended, in the eyes of breaker and health.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The service answered to the end, with this status.
    Answered(u16),
    /// The service answered to the end that a call of gRPC failed: counts like a status that is a failure.
    FailedCall,
    /// The service broke off its answer, or answered too late: counts for the breaker alone.
    Failure,
    /// The connection failed: counts for the breaker, and for the health of the instance like a failed probe.
    Unreachable,
    /// Says nothing about the service: the client hung up, the gateway refused.
    Neutral,
}

/// An instance that may be sent one request. Only [`pick`] makes one. Dropping it without [`Target::conclude`] counts as
/// `Neutral`, so no path can leak a place.
#[derive(Debug)]
pub struct Target {
    pub service: Arc<Service>,
    pub instance: Arc<Instance>,
    pub(super) reason: Reason,
    bond: Bond,
    cookie: Option<Arc<[u8]>>,
    panics: bool,
    place: Option<Place>,
    breaker: BreakerUse,
    own: Option<Arc<Breaker>>,
    ticket: Option<Ticket>,
    picked: Instant,
    wait: Cell<Wait>,
    /// The outcome has been told.
    is_counted: bool,
    /// The instance has reported too much load.
    is_loaded: Cell<bool>,
}

/// When the service answered, as far as that tells anything about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wait {
    /// Not answered yet.
    Pending,
    Answered(Instant),
    /// It waited for the client's body, too.
    Untold,
}

/// Chooses an instance.
///
/// Refuses with `ServiceUnavailable`: `NoInstance` for an empty list, `NoHealthyInstance` with the interval of the
/// health check or the end of an ejection, `TooManyInFlight` and `TooManyPerSecond` at the caps of the service, `BreakerOpen`
/// with the time left, `BreakerRamp` with the time to its next step.
pub fn pick(service: &Arc<Service>, ask: &Ask<'_>) -> Result<Target, Refusal> {
    let roster = service.roster(ask.now);
    let leave = admission::admit(service, &roster, ask)?;
    let (instance, reason) = leave.chosen;
    instance.enter();
    Ok(Target {
        service: Arc::clone(service),
        instance: Arc::clone(instance),
        reason,
        bond: leave.bond,
        cookie: if leave.bond.wants_cookie() { sticky::cookie_of(&roster, instance) } else { None },
        panics: roster.panics,
        place: leave.place,
        breaker: ask.breaker,
        own: leave.own,
        ticket: leave.ticket,
        picked: ask.now,
        wait: Cell::new(Wait::Pending),
        is_counted: false,
        is_loaded: Cell::new(false),
    })
}

impl Target {
    /// The request's body comes while the service waits for it: how long that takes is the client's matter.
    pub fn uploads(&self) {
        self.wait.set(Wait::Untold);
    }

    /// The header by which answers report the load of their instance, where somebody asks.
    pub fn load_header(&self) -> Option<&[u8]> {
        let load = self.service.breaker_rules.as_ref().and_then(Rules::load);
        load.map(|load| load.header.as_bytes())
    }

    /// The value of that header. To be told before the head is.
    pub fn reported(&self, value: &[u8]) {
        let load = self.service.breaker_rules.as_ref().and_then(Rules::load);
        self.is_loaded.set(load.is_some_and(|load| load.is_exceeded(value)));
    }

    /// The head of the answer is in. `now` is the moment at which it was.
    pub fn answered(&self, status: u16, now: Instant) {
        if self.wait.get() == Wait::Pending {
            self.wait.set(Wait::Answered(now));
            if let Some(decay) = self.decay() {
                let took = now.saturating_duration_since(self.picked);
                self.instance.answered(took, decay, now);
            }
        }
        let probe = self.ticket.filter(|ticket| ticket.is_probe());
        if let (Some(ticket), Some(rules)) = (probe, &self.service.breaker_rules) {
            let good = !rules.is_failure(status) && !self.is_slow(now) && !self.is_loaded.get();
            self.breaker().answered(ticket, good);
        }
    }

    #[cfg(test)]
    pub fn finish(mut self, outcome: Outcome, now: Instant) -> Option<BreakerTransition> {
        self.conclude(outcome, now)
    }

    /// Says how the request ended. `now` is the moment at which it did. Gives the change when that opened the breaker.
    /// Its place is free from here on, although the request may go on elsewhere. Whatever is said after the first time
    /// does not count.
    pub fn conclude(&mut self, outcome: Outcome, now: Instant) -> Option<BreakerTransition> {
        if std::mem::replace(&mut self.is_counted, true) {
            return None;
        }
        self.place = None;
        match outcome {
            Outcome::Answered(status) => {
                if status < 500 {
                    self.instance.served();
                    self.instance.trust(self.picked);
                }
                self.saw(if status < 500 { Sign::Good } else { Sign::Failure }, now);
                let rules = self.service.breaker_rules.as_ref();
                let failed = rules.is_some_and(|rules| rules.is_failure(status));
                self.count(failed, now)
            }
            Outcome::FailedCall => {
                self.saw(Sign::Failure, now);
                self.count(true, now)
            }
            Outcome::Failure => {
                self.saw(Sign::Broken, now);
                self.count(true, now)
            }
            Outcome::Unreachable => {
                self.fail_health();
                self.saw(Sign::Broken, now);
                self.count(true, now)
            }
            // The drop that follows gives the ticket back.
            Outcome::Neutral => None,
        }
    }

    fn breaker(&self) -> &Breaker {
        if let Some(own) = &self.own {
            return own;
        }
        let per_instance = self.service.breaker_rules.as_ref().is_some_and(Rules::is_per_instance);
        if per_instance && matches!(self.breaker, BreakerUse::Shared | BreakerUse::Tenant) {
            return &self.instance.breaker;
        }
        admission::common(&self.service, self.breaker)
    }

    fn count(&mut self, failed: bool, now: Instant) -> Option<BreakerTransition> {
        let (slow, loaded) = (self.is_slow(now), self.is_loaded.get());
        let rules = self.service.breaker_rules.as_ref()?;
        let ticket = self.ticket.take()?;
        self.breaker().record(ticket, Call { failed, slow, loaded }, rules, now)
    }

    fn is_slow(&self, now: Instant) -> bool {
        let until = match self.wait.get() {
            Wait::Pending => now,
            Wait::Answered(then) => then,
            Wait::Untold => return false,
        };
        self.service.breaker_rules.as_ref().is_some_and(|rules| rules.is_slow(self.picked, until))
    }

    /// What the trail tells of the choice.
    pub fn inputs(&self) -> Inputs {
        let mut inputs = self.reason.inputs();
        if let Some(bond) = self.bond.text() {
            inputs = inputs.fixed("sticky", bond);
        }
        if self.panics { inputs.fixed("panic", "too_few_available") } else { inputs }
    }

    /// The `Set-Cookie` that the answer carries, so that the client comes back to this instance.
    pub fn cookie(&self) -> Option<&[u8]> {
        self.cookie.as_deref()
    }

    fn saw(&self, sign: Sign, now: Instant) {
        self.service.saw(&self.instance, sign, now);
        if sign == Sign::Broken {
            self.fail_latency(now);
        }
    }

    fn fail_latency(&self, now: Instant) {
        if let Some(decay) = self.decay() {
            self.instance.failed(now.saturating_duration_since(self.picked), decay, now);
        }
    }

    /// Of latencies, for the algorithm that goes by them.
    fn decay(&self) -> Option<Duration> {
        if let AlgorithmDocument::PeakEwma { decay_ms } = self.service.balance.algorithm {
            return Some(Duration::from_millis(decay_ms));
        }
        None
    }

    fn fail_health(&self) {
        if let Some(settings) = &self.service.health_check
            && self.instance.observe(false, settings).is_some()
        {
            self.service.ledger.changed();
            self.service.events.health_changed();
        }
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        self.instance.leave();
        if let Some(ticket) = self.ticket.take() {
            self.breaker().release(ticket);
        }
    }
}
