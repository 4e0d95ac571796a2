//! What the node does when it is short of something, as Python hands it down.

use serde::Deserialize;

/// Percentages are of what the node may use; a priority is refused above them.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OverloadDocument {
    /// `null`: nothing is shed by the use of the processor.
    pub cpu: Option<CpuDocument>,
    /// `null`: nothing is shed by the use of memory.
    pub memory: Option<MemoryDocument>,
    /// `null` or absent: services have no limits that adapt.
    pub concurrency: Option<ConcurrencyDocument>,
    /// How far under its threshold the use must be before a priority is let in again.
    pub margin: u16,
    /// A refused client is told to wait between this and twice this.
    pub retry_after_ms: u64,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CpuDocument {
    pub p1: u16,
    pub p2: u16,
    pub p3: u16,
    pub window_ms: u64,
}

/// The bounds of every service's limit.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConcurrencyDocument {
    pub minimum: u32,
    pub maximum: u32,
    /// How many times its usual time a service may take before its limit falls.
    pub tolerance: f64,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MemoryDocument {
    /// Refuses P2 and P3.
    pub low: u16,
    /// Refuses everything.
    pub all: u16,
    /// `null`: what the control group allows, or what the machine has.
    pub limit_bytes: Option<u64>,
}
