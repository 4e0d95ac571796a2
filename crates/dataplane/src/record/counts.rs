//! What is counted for the whole node: refusals, timeouts, hang-ups, token look-ups.

use super::cells::{Cell, PerWorker};
use super::keys::KeyLookups;
use crate::refusal::{CredentialKind, Malformed, Reason, Refusal};
use crate::snapshot::document::Priority;

/// Which wait on a client ended by its deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeoutKind {
    Head,
    Body,
    Idle,
    Write,
}

/// In the order of `TimeoutKind`.
pub(super) const TIMEOUTS: [&str; 4] = ["head", "body", "idle", "write"];

/// Every reason to shed, in the order of the enum.
pub(super) const REASONS: [Reason; 4] = [Reason::Cpu, Reason::Memory, Reason::InFlight, Reason::Concurrency];

/// In the order of `code_index`.
pub(super) const CODES: [&str; 32] = [
    "bad_request",
    "request_timeout",
    "body_too_large",
    "uri_too_long",
    "headers_too_large",
    "no_route",
    "method_not_allowed",
    "overloaded",
    "invalid_token",
    "invalid_api_key",
    "authentication_unavailable",
    "insufficient_scope",
    "rate_limit_exceeded",
    "limiter_unavailable",
    "service_unavailable",
    "bad_gateway",
    "upstream_timeout",
    "internal_error",
    "misdirected_request",
    "invalid_client_certificate",
    "deadline_exceeded",
    "no_file",
    "precondition_failed",
    "range_not_satisfiable",
    "gone",
    "bad_handshake",
    "websocket_version",
    "too_many_websockets",
    "websockets_full",
    "unknown_protocol",
    "banned",
    "address_not_allowed",
];

/// Where a refusal is counted. An index and not the code's text, so that counting compares no texts.
fn code_index(refusal: &Refusal) -> usize {
    match refusal {
        Refusal::Malformed(_) => 0,
        Refusal::Slow(_) => 1,
        Refusal::BodyTooLarge { .. } => 2,
        Refusal::UriTooLong { .. } => 3,
        Refusal::HeadersTooLarge { .. } => 4,
        Refusal::NoRoute => 5,
        Refusal::MethodNotAllowed { .. } => 6,
        Refusal::Overloaded { .. } => 7,
        Refusal::Unauthenticated { kind: CredentialKind::Token, .. } => 8,
        Refusal::Unauthenticated { kind: CredentialKind::ApiKey, .. } => 9,
        Refusal::AuthenticationUnavailable { .. } => 10,
        Refusal::MissingScope { .. } => 11,
        Refusal::OverLimit(_) => 12,
        Refusal::LimiterUnavailable => 13,
        Refusal::ServiceUnavailable { .. } => 14,
        Refusal::BadGateway(_) => 15,
        Refusal::UpstreamTimeout => 16,
        Refusal::Internal => 17,
        Refusal::Misdirected => 18,
        Refusal::Unauthenticated { kind: CredentialKind::Certificate, .. } => 19,
        Refusal::DeadlineExceeded => 20,
        Refusal::NoFile => 21,
        Refusal::PreconditionFailed => 22,
        Refusal::RangeNotSatisfiable { .. } => 23,
        Refusal::Gone => 24,
        Refusal::BadHandshake(_) => 25,
        Refusal::WebSocketVersion => 26,
        Refusal::TooManyWebSockets { .. } => 27,
        Refusal::WebSocketsFull { .. } => 28,
        Refusal::UnknownProtocol => 29,
        Refusal::Banned(_) => 30,
        Refusal::AddressNotAllowed => 31,
    }
}

/// In the order in which `compressed` is told of them.
pub(super) const ALGORITHMS: [&str; 3] = ["zstd", "br", "gzip"];

/// Every way of being malformed, in the order of the enum.
pub(super) const MALFORMED: [Malformed; 32] = [
    Malformed::RequestLine,
    Malformed::Method,
    Malformed::Target,
    Malformed::Fragment,
    Malformed::PathEscape,
    Malformed::PathSeparator,
    Malformed::PathParameters,
    Malformed::PathControl,
    Malformed::Query,
    Malformed::Version,
    Malformed::BareLineFeed,
    Malformed::ObsoleteFolding,
    Malformed::HeaderName,
    Malformed::HeaderValue,
    Malformed::TooManyHeaders,
    Malformed::MissingHost,
    Malformed::RepeatedHost,
    Malformed::Host,
    Malformed::HostDisagrees,
    Malformed::SchemeDisagrees,
    Malformed::LengthWithEncoding,
    Malformed::RepeatedLength,
    Malformed::Length,
    Malformed::TransferEncoding,
    Malformed::EncodingInHttp10,
    Malformed::Expectation,
    Malformed::Chunk,
    Malformed::ChunkTooLong,
    Malformed::Trailer,
    Malformed::ForwardedFor,
    Malformed::BodyLength,
    Malformed::ExtendedConnect,
];

/// The `reason` label: one word for what `Malformed::text` says in a sentence.
pub(super) fn reason(malformed: Malformed) -> &'static str {
    match malformed {
        Malformed::RequestLine => "request_line",
        Malformed::Method => "method",
        Malformed::Target => "target",
        Malformed::Fragment => "fragment",
        Malformed::PathEscape => "path_escape",
        Malformed::PathSeparator => "path_separator",
        Malformed::PathParameters => "path_parameters",
        Malformed::PathControl => "path_control",
        Malformed::Query => "query",
        Malformed::Version => "version",
        Malformed::BareLineFeed => "bare_line_feed",
        Malformed::ObsoleteFolding => "obsolete_folding",
        Malformed::HeaderName => "header_name",
        Malformed::HeaderValue => "header_value",
        Malformed::TooManyHeaders => "too_many_headers",
        Malformed::MissingHost => "missing_host",
        Malformed::RepeatedHost => "repeated_host",
        Malformed::Host => "host",
        Malformed::HostDisagrees => "host_disagrees",
        Malformed::SchemeDisagrees => "scheme_disagrees",
        Malformed::LengthWithEncoding => "length_with_encoding",
        Malformed::RepeatedLength => "repeated_length",
        Malformed::Length => "length",
        Malformed::TransferEncoding => "transfer_encoding",
        Malformed::EncodingInHttp10 => "encoding_in_http10",
        Malformed::Expectation => "expectation",
        Malformed::Chunk => "chunk",
        Malformed::ChunkTooLong => "chunk_too_long",
        Malformed::Trailer => "trailer",
        Malformed::ForwardedFor => "forwarded_for",
        Malformed::BodyLength => "body_length",
        Malformed::ExtendedConnect => "extended_connect",
    }
}

/// The node's own counters: one set for each worker.
#[derive(Debug)]
pub struct NodeMetrics {
    slots: PerWorker<WorkerCounts>,
}

/// The writing half of `NodeMetrics` for one worker.
#[derive(Debug)]
pub struct WorkerCounts {
    pub token_cache_hits: Cell,
    pub token_cache_misses: Cell,
    /// Requests that are being answered now.
    pub in_flight: Cell,
    /// Clients that left before their response was complete.
    pub client_aborts: Cell,
    /// Panics that ended a connection and not the worker.
    pub panics: Cell,
    /// Pauses in accepting because no descriptor or memory was left.
    pub accept_pauses: Cell,
    /// Connections accepted here and served by another worker.
    pub handed_over: Cell,
    pub key_lookups: KeyLookups,
    /// Answers that went on as they were because as many were being compressed as may be.
    pub compressions_skipped: Cell,
    /// Bodies that were not kept for another attempt because the node kept as much as it may.
    pub retry_bodies_dropped: Cell,
    pub(super) compressed: [Cell; ALGORITHMS.len()],
    pub(super) bytes_before: [Cell; ALGORITHMS.len()],
    pub(super) bytes_after: [Cell; ALGORITHMS.len()],
    pub(super) timeouts: [Cell; TIMEOUTS.len()],
    pub(super) refusals: [Cell; CODES.len()],
    pub(super) malformed: [Cell; MALFORMED.len()],
    shed: [[Cell; Priority::ALL.len()]; REASONS.len()],
}

impl Default for WorkerCounts {
    fn default() -> Self {
        Self {
            token_cache_hits: Cell::default(),
            token_cache_misses: Cell::default(),
            in_flight: Cell::default(),
            client_aborts: Cell::default(),
            panics: Cell::default(),
            accept_pauses: Cell::default(),
            handed_over: Cell::default(),
            key_lookups: KeyLookups::default(),
            compressions_skipped: Cell::default(),
            retry_bodies_dropped: Cell::default(),
            compressed: std::array::from_fn(|_| Cell::default()),
            bytes_before: std::array::from_fn(|_| Cell::default()),
            bytes_after: std::array::from_fn(|_| Cell::default()),
            timeouts: std::array::from_fn(|_| Cell::default()),
            refusals: std::array::from_fn(|_| Cell::default()),
            malformed: std::array::from_fn(|_| Cell::default()),
            shed: Default::default(),
        }
    }
}

impl WorkerCounts {
    /// Counts a refusal by its code and, where the request was malformed, by the reason.
    pub fn refused(&self, refusal: &Refusal) {
        count_at(&self.refusals, code_index(refusal));
        if let Refusal::Malformed(malformed) = refusal {
            count_at(&self.malformed, *malformed as usize);
        }
    }

    /// Counts a request that was shed.
    pub fn shed(&self, reason: Reason, priority: Priority) {
        let cells = self.shed.get(reason as usize);
        if let Some(cells) = cells {
            count_at(cells, priority as usize);
        }
    }

    /// An answer was compressed; `algorithm` is its place in the list.
    pub fn compressed(&self, algorithm: usize, before: u64, after: u64) {
        for (cells, count) in
            [(&self.compressed, 1), (&self.bytes_before, before), (&self.bytes_after, after)]
        {
            if let Some(cell) = cells.get(algorithm) {
                cell.add(count);
            }
        }
    }

    pub fn timed_out(&self, kind: TimeoutKind) {
        count_at(&self.timeouts, kind as usize);
    }
}

fn count_at(cells: &[Cell], index: usize) {
    if let Some(cell) = cells.get(index) {
        cell.add(1);
    }
}

impl NodeMetrics {
    pub(super) fn new(workers: usize) -> Self {
        Self { slots: PerWorker::new(workers) }
    }

    /// The cells that only the worker of that number may write.
    pub fn worker(&self, worker: usize) -> &WorkerCounts {
        self.slots.slot(worker)
    }

    /// Requests that are being answered now, on all workers.
    pub fn in_flight(&self) -> u64 {
        self.sum(|counts| &counts.in_flight)
    }

    /// Requests that were shed for one reason, by priority.
    pub(super) fn shed(&self, reason: Reason) -> impl Iterator<Item = (Priority, u64)> {
        Priority::ALL.into_iter().map(move |priority| {
            let cells = |counts: &WorkerCounts| {
                counts.shed.get(reason as usize)?.get(priority as usize).map(Cell::get)
            };
            (priority, self.slots.used().filter_map(cells).sum())
        })
    }

    pub(super) fn sum(&self, cell: impl Fn(&WorkerCounts) -> &Cell) -> u64 {
        self.slots.sum(cell)
    }

    /// The sum of the cell at `index` of a list.
    pub(super) fn sum_at(&self, index: usize, list: impl Fn(&WorkerCounts) -> &[Cell]) -> u64 {
        self.slots.used().filter_map(|counts| list(counts).get(index)).map(Cell::get).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::refusal::{
        CredentialFault, HandshakeFault, LimitState, Shortage, Unavailable, Unjudged, UpstreamFault,
    };
    use std::time::Duration;

    fn every_refusal() -> Vec<Refusal> {
        let wait = Duration::from_secs(1);
        let shortage = Shortage { reason: Reason::Cpu, value: 61, threshold: 60, resumes: 55 };
        let unauthenticated =
            |kind| Refusal::Unauthenticated { kind, identity: None, fault: CredentialFault::Missing };
        vec![
            Refusal::Malformed(Malformed::ForwardedFor),
            Refusal::Slow("head"),
            Refusal::BodyTooLarge { limit: 1 },
            Refusal::UriTooLong { limit: 1 },
            Refusal::HeadersTooLarge { limit: 1 },
            Refusal::NoRoute,
            Refusal::MethodNotAllowed { allow: "GET".into() },
            Refusal::Overloaded { shortage, retry_after: wait },
            unauthenticated(CredentialKind::Token),
            unauthenticated(CredentialKind::ApiKey),
            Refusal::AuthenticationUnavailable { identity: 0, cause: Unjudged::NoKeys },
            Refusal::MissingScope { scope: "a".into() },
            Refusal::OverLimit(LimitState::default()),
            Refusal::LimiterUnavailable,
            Refusal::ServiceUnavailable { cause: Unavailable::NoInstance, retry_after: wait },
            Refusal::BadGateway(UpstreamFault::ConnectionReset),
            Refusal::UpstreamTimeout,
            Refusal::Internal,
            Refusal::Misdirected,
            unauthenticated(CredentialKind::Certificate),
            Refusal::DeadlineExceeded,
            Refusal::NoFile,
            Refusal::PreconditionFailed,
            Refusal::RangeNotSatisfiable { length: 1 },
            Refusal::Gone,
            Refusal::BadHandshake(HandshakeFault::Key),
            Refusal::WebSocketVersion,
            Refusal::TooManyWebSockets { limit: 1 },
            Refusal::WebSocketsFull { limit: 1 },
            Refusal::UnknownProtocol,
            Refusal::Banned(LimitState::default()),
            Refusal::AddressNotAllowed,
        ]
    }

    #[test]
    fn each_refusal_is_counted_under_its_own_code() {
        assert_eq!(every_refusal().len(), CODES.len());
        for refusal in every_refusal() {
            assert_eq!(CODES[code_index(&refusal)], refusal.code());
        }
    }

    #[test]
    fn each_malformed_request_is_counted_under_its_reason() {
        for (index, malformed) in MALFORMED.into_iter().enumerate() {
            let node = NodeMetrics::new(1);
            node.worker(0).refused(&Refusal::Malformed(malformed));
            assert_eq!(node.sum_at(index, |counts| &counts.malformed), 1, "{}", reason(malformed));
            assert_eq!(node.sum_at(0, |counts| &counts.refusals), 1);
        }
    }

    #[test]
    fn each_request_that_is_shed_is_counted_under_its_reason_and_priority() {
        for (index, reason) in REASONS.into_iter().enumerate() {
            assert_eq!(reason as usize, index);
            for priority in Priority::ALL {
                let node = NodeMetrics::new(1);
                node.worker(0).shed(reason, priority);
                let all: Vec<_> = REASONS.into_iter().flat_map(|reason| node.shed(reason)).collect();
                assert_eq!(all.iter().map(|(_, count)| count).sum::<u64>(), 1);
                assert!(node.shed(reason).any(|counted| counted == (priority, 1)));
            }
        }
    }

    #[test]
    fn each_timeout_is_counted_under_its_kind() {
        for (kind, label) in [
            (TimeoutKind::Head, "head"),
            (TimeoutKind::Body, "body"),
            (TimeoutKind::Idle, "idle"),
            (TimeoutKind::Write, "write"),
        ] {
            assert_eq!(TIMEOUTS[kind as usize], label);
        }
    }
}
