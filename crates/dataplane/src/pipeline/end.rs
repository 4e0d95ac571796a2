//! How a request ends that did not get a complete response.

use crate::proxy::attempt::Fault;
use crate::refusal::{Refusal, UpstreamFault};

/// Why a request did not end with a complete response of a service, or of a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// Before anything was answered.
    Refused(Refusal),
    /// The client left, or stopped reading.
    ClientGone,
    ClientStalled,
    /// The service failed in the middle of its response; the client's connection is cut.
    Cut(Fault),
    /// The gateway itself failed; the connection is cut.
    Panicked,
    /// A file was changed while it was sent; the connection is cut.
    FileChanged,
    /// The worker was stopped while it served the request; the connection is cut.
    Stopped,
}

impl End {
    /// Of a request that is dropped while it is served, by a panic or because the worker stops.
    pub fn of_abandoned() -> Self {
        if std::thread::panicking() { Self::Panicked } else { Self::Stopped }
    }
}

impl From<Refusal> for End {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// What a fault before the response means to the client.
pub fn end_of(fault: Fault) -> End {
    match fault {
        Fault::Stale => End::Refused(Refusal::BadGateway(UpstreamFault::ConnectionReset)),
        Fault::Unprocessed => End::Refused(Refusal::BadGateway(UpstreamFault::StreamReset)),
        Fault::Upstream(fault) | Fault::Gone(fault) => End::Refused(Refusal::BadGateway(fault)),
        Fault::UpstreamTimeout => End::Refused(Refusal::UpstreamTimeout),
        Fault::Deadline => End::Refused(Refusal::DeadlineExceeded),
        Fault::ClientGone => End::ClientGone,
        Fault::ClientStalled => End::ClientStalled,
        Fault::Refused(refusal) => End::Refused(refusal),
    }
}

/// A fault in the middle of a response: nothing can be answered any more.
pub fn cut(fault: Fault) -> End {
    match fault {
        Fault::ClientGone => End::ClientGone,
        Fault::ClientStalled => End::ClientStalled,
        Fault::Stale
        | Fault::Gone(_)
        | Fault::Unprocessed
        | Fault::Upstream(_)
        | Fault::UpstreamTimeout
        | Fault::Deadline
        | Fault::Refused(_) => End::Cut(fault),
    }
}
