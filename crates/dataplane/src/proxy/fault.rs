//! How an attempt can fail.

use crate::exchange::BodyFault;
use crate::refusal::{Refusal, UpstreamFault};

/// Why an attempt ended without a complete response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A connection out of the pool was closed before a byte came back: the instance may never have seen the request.
    Stale,
    /// The pooled connections were closed by the instance, and it takes no new one: it never saw the request, or the
    /// request may be sent twice.
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
            Self::Gone(fault) => Self::Upstream(fault),
            Self::Upstream(_)
            | Self::UpstreamTimeout
            | Self::Deadline
            | Self::ClientGone
            | Self::ClientStalled
            | Self::Refused(_) => self,
        }
    }

    /// Of the connection in place of one that was closed.
    pub fn after_stale(self) -> Self {
        if let Self::Upstream(fault) = self { Self::Gone(fault) } else { self }
    }

    pub fn of_body(fault: BodyFault) -> Self {
        match fault {
            BodyFault::Gone => Self::ClientGone,
            BodyFault::Refused(refusal) => Self::Refused(refusal),
        }
    }
}
