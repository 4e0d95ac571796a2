//! How an attempt can fail.

use std::time::Instant;

use crate::balance::Instance;
use crate::exchange::BodyFault;
use crate::refusal::{Refusal, UpstreamFault};

/// Why an attempt ended without a complete response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A connection out of the pool was closed before a byte came back: the instance may never have seen the request.
    Stale,
    /// The instance takes no connection, or breaks it without a word, and that is nothing new. It never saw the request, or the
    /// request may be sent twice: another may be asked instead.
    Gone(UpstreamFault),
    Upstream(UpstreamFault),
    UpstreamTimeout,
    /// The caller waits no longer.
    Deadline,
    ClientGone,
    /// The client took nothing of the response for too long.
    ClientStalled,
    /// The request's own body was at fault.
    Refused(Refusal),
    /// The service said that it has not processed the request, whatever the request is (RFC 9113 section 8.7).
    Unprocessed,
}

impl Fault {
    /// Nothing is tried again any more.
    pub fn settled(self) -> Self {
        match self {
            Self::Stale => Self::Upstream(UpstreamFault::ConnectionReset),
            Self::Unprocessed => Self::Upstream(UpstreamFault::StreamReset),
            Self::Upstream(_)
            | Self::Gone(_)
            | Self::UpstreamTimeout
            | Self::Deadline
            | Self::ClientGone
            | Self::ClientStalled
            | Self::Refused(_) => self,
        }
    }

    /// No connection could be had, so nothing was sent. The first time, that is how the request ends, or nobody would hear
    /// of it (requirements UP-8, BH-21).
    pub fn unreachable(instance: &Instance, fault: UpstreamFault) -> Self {
        if instance.doubt(Instant::now()) { Self::Gone(fault) } else { Self::Upstream(fault) }
    }

    pub fn of_body(fault: BodyFault) -> Self {
        match fault {
            BodyFault::Gone => Self::ClientGone,
            BodyFault::Refused(refusal) => Self::Refused(refusal),
        }
    }
}
