//! Which failures are answered by another attempt, and after how long.

use std::time::Duration;

use crate::balance::BudgetRules;
use crate::http1::response_head::ResponseHead;
use crate::micros::micros;
use crate::proxy::attempt::Fault;
use crate::proxy::{Answered, grpc};
use crate::refusal::UpstreamFault;
use crate::request::Request;

/// Why a request goes out once more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// No byte of the request was sent.
    ConnectFailure,
    /// The connection broke before the head of an answer, or what came was none.
    Reset,
    /// The attempt took too long.
    Timeout,
    /// The service answered with one of the statuses that are listed.
    Status,
}

impl Cause {
    pub fn of(fault: &Fault) -> Option<Self> {
        match fault {
            Fault::Upstream(fault) | Fault::Gone(fault) => Some(Self::of_upstream(*fault)),
            Fault::Stale | Fault::Unprocessed => Some(Self::Reset),
            Fault::UpstreamTimeout => Some(Self::Timeout),
            Fault::Deadline | Fault::ClientGone | Fault::ClientStalled | Fault::Refused(_) => None,
        }
    }

    fn of_upstream(fault: UpstreamFault) -> Self {
        match fault {
            UpstreamFault::ConnectionRefused
            | UpstreamFault::ConnectionTimeout
            | UpstreamFault::ConnectionFailed
            | UpstreamFault::TlsHandshakeFailed
            | UpstreamFault::TlsExpired
            | UpstreamFault::TlsUntrusted
            | UpstreamFault::TlsWrongName
            | UpstreamFault::TlsInvalid
            | UpstreamFault::NoExtendedConnect => Self::ConnectFailure,
            UpstreamFault::ConnectionReset
            | UpstreamFault::InvalidResponse
            | UpstreamFault::HeadersTooLarge
            | UpstreamFault::StreamReset => Self::Reset,
        }
    }
}

/// What a route says about it.
#[derive(Clone, Debug)]
pub struct Retry {
    /// Further ones, after the first.
    pub attempts: u32,
    pub causes: Vec<Cause>,
    pub statuses: Vec<u16>,
    /// Of gRPC calls.
    pub grpc_statuses: Vec<u16>,
    /// `None`: those that are idempotent.
    pub methods: Option<Vec<Box<[u8]>>>,
    /// Silence of the service that ends an attempt; `None`: that of the route's timeout.
    pub per_try_timeout: Option<Duration>,
    pub backoff: Backoff,
    pub budget: BudgetRules,
    /// Of a longer body nothing is kept, so its request is sent once only.
    pub max_body: usize,
}

/// What a route says about reads that several instances are asked for.
#[derive(Clone, Debug)]
pub struct Hedge {
    /// The wait for a head before another instance is asked, too.
    pub delay: Duration,
    /// Beside the first.
    pub attempts: u32,
    pub budget: BudgetRules,
}

impl Retry {
    /// The request may reach a service twice.
    pub fn may_arrive_twice(&self, request: &Request) -> bool {
        let method = request.slice(request.method_text);
        self.methods.as_ref().map_or_else(
            || request.method.is_idempotent(),
            |methods| methods.iter().any(|listed| **listed == *method),
        )
    }

    /// This answer is a failure that is to be answered by another attempt. Of gRPC calls only those are seen that end
    /// with their head: of any other, something has gone to the caller already.
    pub fn lists(&self, answered: &Answered, request: &Request, response: &ResponseHead) -> bool {
        if self.statuses.contains(&response.status) {
            return true;
        }
        let may_be_listed = !self.grpc_statuses.is_empty() && request.is_grpc();
        let status = || answered.attempt.grpc_status(response).and_then(grpc::code);
        may_be_listed && status().is_some_and(|code| self.grpc_statuses.contains(&code))
    }

    /// A failure for this cause is to be answered by another attempt. Where no byte was sent, any method may be.
    pub fn answers(&self, cause: Cause, request: &Request) -> bool {
        let is_listed = match cause {
            Cause::Status => true,
            Cause::ConnectFailure | Cause::Reset | Cause::Timeout => self.causes.contains(&cause),
        };
        is_listed && (cause == Cause::ConnectFailure || self.may_arrive_twice(request))
    }
}

/// The wait before another attempt: any time up to a bound that doubles, so that clients that failed together do not
/// come back together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    pub base: Duration,
    pub max: Duration,
}

impl Backoff {
    /// Before the further attempt of that number, which counts from 1. `random` gives a number up to its argument.
    pub fn wait(&self, number: u32, random: impl FnOnce(u64) -> u64) -> Duration {
        let doubled = 1_u32.checked_shl(number.saturating_sub(1)).and_then(|by| self.base.checked_mul(by));
        let bound = doubled.map_or(self.max, |doubled| doubled.min(self.max));
        Duration::from_micros(random(micros(bound)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_of_the_wait_doubles_up_to_its_maximum() {
        let backoff = Backoff { base: Duration::from_millis(25), max: Duration::from_millis(90) };
        let longest = |number| backoff.wait(number, |bound| bound).as_millis();
        assert_eq!([1, 2, 3, 4, 40, u32::MAX].map(longest), [25, 50, 90, 90, 90, 90]);
    }

    #[test]
    fn the_wait_is_anything_from_nothing_to_its_bound() {
        let backoff = Backoff { base: Duration::from_millis(20), max: Duration::from_millis(20) };
        assert_eq!(backoff.wait(1, |_| 0), Duration::ZERO);
        assert_eq!(backoff.wait(1, |bound| bound / 4), Duration::from_millis(5));
    }

    #[test]
    fn faults_of_clients_and_of_the_gateway_are_no_cause() {
        use crate::refusal::Refusal;
        for fault in
            [Fault::ClientGone, Fault::ClientStalled, Fault::Deadline, Fault::Refused(Refusal::Internal)]
        {
            assert_eq!(Cause::of(&fault), None);
        }
    }
}
