//! How long an attempt waits, and for whom.

use std::time::{Duration, Instant};

use crate::proxy::fault::Fault;
use crate::refusal::Refusal;

/// Whose turn it is. Each has its own deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waiting {
    Service,
    ClientBody,
    ClientReads,
}

/// How long each side may do nothing.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// The route's timeout.
    pub service: Duration,
    pub client_body: Duration,
    /// Bytes of its body that the client must send in a second, over the time that it is waited for; 0: any number.
    pub body_rate: u32,
    pub client_reads: Duration,
    /// When the caller gives up the whole exchange, where it said so.
    pub deadline: Option<Instant>,
    /// When the time of all attempts is over, for those after the first.
    pub answer_by: Option<Instant>,
}

impl Patience {
    /// When a wait that begins now is over.
    pub fn until(&self, from: Instant, wait: Duration) -> Instant {
        let until = from + wait;
        let until = self.deadline.map_or(until, |deadline| until.min(deadline));
        self.answer_by.map_or(until, |deadline| until.min(deadline))
    }

    pub fn with(&self, whom: Waiting) -> Duration {
        match whom {
            Waiting::Service => self.service,
            Waiting::ClientBody => self.client_body,
            Waiting::ClientReads => self.client_reads,
        }
    }

    /// What it means that nothing came up to now.
    pub fn fault(&self, waiting: Waiting) -> Fault {
        if self.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            return Fault::Deadline;
        }
        if self.answer_by.is_some_and(|deadline| Instant::now() >= deadline) {
            return Fault::UpstreamTimeout;
        }
        match waiting {
            Waiting::Service => Fault::UpstreamTimeout,
            Waiting::ClientBody => Fault::Refused(Refusal::Slow("body")),
            Waiting::ClientReads => Fault::ClientStalled,
        }
    }
}
