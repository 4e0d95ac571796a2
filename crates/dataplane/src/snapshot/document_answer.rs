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

/// Files of a directory.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FilesDocument {
    pub root: String,
    /// Taken from the front of the path before it becomes a name.
    pub strip_prefix: Option<String>,
    /// Names that are tried in a directory.
    pub index: Vec<String>,
    /// Sent where nothing else is there.
    pub fallback: Option<String>,
    /// `br`, `zstd`, `gzip`: siblings that hold a file compressed; of equals the first.
    pub codings: Vec<String>,
    pub cache_control: Option<String>,
    /// Content types by ending, without its dot.
    pub types: std::collections::BTreeMap<String, String>,
    /// Names that begin with a dot are served, too.
    pub hidden: bool,
}

/// What of a service's answers is compressed.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CompressionDocument {
    /// `zstd`, `br`, `gzip`, each with its level; of those that a client likes alike the first.
    pub algorithms: Vec<(String, u32)>,
    /// Bodies that are known to be shorter go as they are.
    pub minimum_bytes: u64,
    /// `application/json`, `text/*`, `*+json`.
    pub types: Vec<String>,
}
