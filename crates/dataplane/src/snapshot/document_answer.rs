//! What the gateway answers by itself, as Python hands it down.

use serde::Deserialize;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ErrorPagesDocument {
    /// Asked in this order; a page for a status goes before one for its class.
    pub pages: Vec<ErrorPageDocument>,
    /// Those who would rather have HTML get the gateway's own page where none of these is for the status.
    pub built_in: bool,
    /// A failure of the service (5xx) is told by these pages instead of its own body.
    pub intercept: bool,
}

/// Templates may hold `{status}`, `{reason}`, `{error}`, `{message}`, `{request_id}` and `{retry_after}`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ErrorPageDocument {
    pub statuses: Vec<u16>,
    /// `4` for every 4xx.
    pub classes: Vec<u16>,
    pub html: Option<String>,
    /// Text of a JSON document; the words stand inside of its texts.
    pub json: Option<String>,
}
