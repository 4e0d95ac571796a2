//! What other stages own and a scrape shows; the engine fills it in.

use super::addresses::AddressFileLine;
use super::keys::{KeyCacheLine, NonceLine, PasswordCacheLine};
use super::page::Span;
use super::queue::QueueCounts;
use super::revocations::{ProofLine, RevocationLine};
use super::shared_limits::SharedStoreLine;

/// The printed value is the number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BreakerState {
    #[default]
    Closed = 0,
    HalfOpen = 1,
    Open = 2,
}

#[derive(Clone, Debug, Default)]
pub struct BreakerLine {
    pub service: String,
    /// Where it is the breaker of a route, an instance or a tenant.
    pub route: Option<String>,
    pub instance: Option<String>,
    pub tenant: Option<String>,
    pub state: BreakerState,
    /// Per cent of the requests that pass.
    pub share: u32,
    /// Time in which it was not closed.
    pub not_closed_ms: u64,
    /// When it ceased to be closed, in milliseconds of Unix time; 0 while it is closed.
    pub opened_ms: u64,
    pub refused: u64,
    /// From, to, reason, and how often; at most one of each since the start.
    pub transitions: Vec<([&'static str; 3], u64)>,
}

#[derive(Clone, Debug, Default)]
pub struct InstanceLine {
    pub service: String,
    pub instance: String,
    /// `healthy`, `unhealthy`, `ejected` or `draining`.
    pub standing: &'static str,
    pub in_flight: u32,
    /// Requests sent there so far.
    pub picks: u64,
    pub ejections: u64,
}

#[derive(Clone, Debug, Default)]
pub struct ServiceLine {
    pub service: String,
    /// So few instances are available that all are asked.
    pub panics: bool,
    pub panics_so_far: u64,
    pub ejections_prevented: u64,
}

/// How short the node is of processor time and memory.
#[derive(Clone, Copy, Debug, Default)]
pub struct OverloadLine {
    pub cpu_percent: u16,
    pub memory_percent: u16,
    pub memory_limit: u64,
    /// Priorities refused for each.
    pub cpu_refused: u8,
    pub memory_refused: u8,
}

/// Requests in flight at one service, and how many there may be (0: not known yet).
#[derive(Clone, Debug, Default)]
pub struct ConcurrencyLine {
    pub service: Box<str>,
    pub in_flight: u32,
    pub limit: u32,
}

/// Requests to one service that wait for a connection.
#[derive(Clone, Debug, Default)]
pub struct PendingLine {
    pub service: Box<str>,
    pub requests: u32,
}

#[derive(Clone, Copy, Debug, Default)]
pub struct LimitLine {
    /// Callers that limit counters are kept for now.
    pub keys: u64,
    /// How often a caller found no room for a counter.
    pub full: u64,
    pub waiting: u64,
    /// How often a request found no room to wait.
    pub waiting_full: u64,
    pub bans: u64,
    pub bans_so_far: u64,
    /// Tiers whose limit was set by hand.
    pub emergencies: u64,
}

#[derive(Clone, Debug, Default)]
pub struct External {
    /// `gateway_version` of the record.
    pub software: String,
    /// `gateway_instance` of the record.
    pub node: String,
    pub config_version: u64,
    /// Milliseconds since the epoch at which that version went live.
    pub config_applied_ms: u64,
    pub uptime_ms: u64,
    pub span: Span,
    pub limits: LimitLine,
    pub shared_store: SharedStoreLine,
    /// Files on their way to clients.
    pub file_transfers: u64,
    pub key_cache: KeyCacheLine,
    pub revocations: RevocationLine,
    pub proofs: ProofLine,
    /// Networks that are blocked by hand.
    pub address_blocks: u64,
    pub address_files: Vec<AddressFileLine>,
    pub password_cache: PasswordCacheLine,
    pub nonces: NonceLine,
    /// Good tokens and refused ones that issuers were asked about.
    pub opaque_tokens: (u64, u64),
    pub records: QueueCounts,
    pub overload: OverloadLine,
    /// One for each service whose limit adapts.
    pub concurrencies: Vec<ConcurrencyLine>,
    /// One for each service.
    pub pending: Vec<PendingLine>,
    /// Client connections of each worker.
    pub worker_connections: Vec<u32>,
    /// At most one for each service.
    pub breakers: Vec<BreakerLine>,
    /// Lines with the same service and instance are printed once: the sums, and healthy only if all are.
    pub instances: Vec<InstanceLine>,
    pub services: Vec<ServiceLine>,
}
