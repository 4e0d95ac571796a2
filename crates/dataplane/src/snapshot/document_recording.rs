//! What records say and how many there are, as Python hands it down.

use serde::Deserialize;

/// What holds for routes that do not say otherwise, and for requests without a route.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordingDocument {
    /// Nothing is told by which card data could get into a record.
    pub pci: bool,
    /// Absent: every request is recorded.
    pub sample: Option<SampleDocument>,
    /// Parameters of the query whose values are secret, beside those that always are.
    pub secret_parameters: Vec<String>,
    /// The same of headers; lower case.
    pub secret_headers: Vec<String>,
    pub mask_cards: bool,
    pub shorten_addresses: bool,
    pub hash_users: bool,
    /// Needed where users are hashed.
    pub user_key: Option<UserKeyDocument>,
    /// Headers that are told; lower case.
    pub request_headers: Vec<String>,
    pub response_headers: Vec<String>,
}

/// How the records of a route differ.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RouteRecordingDocument {
    pub pci: bool,
    pub sample: RouteSampleDocument,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RouteSampleDocument {
    /// Together with all routes that have no rule of their own.
    Common,
    Off,
    Own(SampleDocument),
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SampleDocument {
    /// Successes per second of the node that are all recorded.
    pub full_rate: u32,
    /// The share of them that is recorded where there are more; above 0, at most 1.
    pub ratio: f64,
    pub by: SampleByDocument,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum SampleByDocument {
    Request,
    /// User, else partner, else client address.
    Caller,
    Trace,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserKeyDocument {
    /// Letters, digits, `.`, `_` and `-`.
    pub id: String,
    pub secret: String,
    pub rotate: RotateDocument,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum RotateDocument {
    Never,
    Daily,
    Monthly,
}
