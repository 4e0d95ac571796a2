//! How a service chooses among its instances, as Python hands it down.

use serde::Deserialize;

#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct BalanceDocument {
    pub at: String,
    pub algorithm: AlgorithmDocument,
    /// Over which an instance that is new, or back, comes to its full share; 0: at once.
    pub slow_start_ms: u64,
    /// Per cent of the instances that must be available, or all are asked again; 0: never.
    pub panic_threshold: u32,
    pub ejection: Option<EjectionDocument>,
    pub caps: CapsDocument,
    pub sticky: Option<StickyDocument>,
}

/// A cookie that brings a client back to its instance.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct StickyDocument {
    pub at: String,
    pub cookie: String,
    /// Of the keyed hash in the cookie.
    pub secret: String,
    pub path: String,
    /// `None`: until the client forgets it.
    pub max_age_s: Option<u64>,
    pub same_site: SameSite,
    pub secure: bool,
    /// How long an instance that drains keeps its clients.
    pub drain_wait_ms: u64,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum SameSite {
    Strict,
    Lax,
    None,
}

/// Failures in a row that send an instance out; 0 for one of the counts turns it off.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct EjectionDocument {
    pub at: String,
    pub consecutive_5xx: u32,
    pub consecutive_gateway_errors: u32,
    /// The first time; further ones follow as multiples of it.
    pub base_ms: u64,
    pub maximum_ms: u64,
    /// Per cent of the instances that may be out.
    pub max_share: u32,
}

/// What a service takes of this node at most.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct CapsDocument {
    pub max_in_flight: Option<u32>,
    pub rate: Option<RateDocument>,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct RateDocument {
    pub per_second: u32,
    /// Requests that may come at once.
    pub burst: u32,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum AlgorithmDocument {
    /// In turn, smoothly by weight.
    RoundRobin,
    /// The one with the fewest requests under way, for its weight.
    LeastRequests,
    /// The better of two at random, by latency and requests under way.
    PeakEwma {
        /// After which a latency counts for a third of what it did.
        decay_ms: u64,
    },
    /// At random, by weight.
    Random,
    /// The same one for the same key (Maglev).
    Hash(KeyDocument),
}

/// What is hashed. Names of headers in lower case.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum KeyDocument {
    Header(String),
    Cookie(String),
    Caller,
    ClientIp,
    Path,
}
