//! Changes of a breaker that come from outside its rules: from a person, or from another node.

use std::time::Instant;

use serde::Deserialize;

/// What `set_breaker` takes, as JSON.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, tag = "action", rename_all = "snake_case")]
pub enum BreakerChange {
    /// Holds it open until it is reset.
    Open { by: String, why: Option<String> },
    /// Holds it closed until it is reset.
    Close { by: String, why: Option<String> },
    /// Closes it, forgets what was counted, and gives it back to its rules.
    Reset {},
    /// Another node has opened its breaker of this name, and will try again in so many milliseconds.
    SharedOpen { for_ms: u64 },
    /// Another node has closed it.
    SharedClosed {},
}

/// A person's word, which holds until it is taken back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BreakerHold {
    pub by: String,
    pub why: Option<String>,
    pub at: Instant,
}
