//! Traces as Python hands them down.

use serde::Deserialize;

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TracingDocument {
    /// What is read of clients and told to services.
    pub propagate: Vec<TraceFormatDocument>,
    /// From 0 to 1: of the traces about which no caller has decided.
    pub sample: f64,
    /// What a caller has decided holds.
    pub parent_based: bool,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum TraceFormatDocument {
    W3c,
    B3,
    B3Single,
}
