//! Limits as Python hands them down: tiers, and which of them a route has.

use serde::Deserialize;

#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct TierDocument {
    pub name: String,
    pub at: String,
    /// In a window; of `concurrency`, at once.
    pub limit: u64,
    pub window_ms: u64,
    /// Whom it counts: each combination of these for itself. At least one, none twice.
    pub per: Vec<PerDocument>,
    #[serde(default)]
    pub algorithm: LimitAlgorithmDocument,
    /// Length of the prefix by which addresses of IPv6 are counted.
    #[serde(default = "subscriber")]
    pub ipv6_prefix: u8,
    #[serde(default)]
    pub counts: CountsDocument,
    /// Counts and tells, and refuses nobody.
    #[serde(default)]
    pub dry_run: bool,
    /// `null`: the limit is the same under every load.
    #[serde(default)]
    pub adaptive: Option<AdaptiveDocument>,
    /// `null`: nobody is banned.
    #[serde(default)]
    pub ban: Option<BanDocument>,
    /// How far `Retry-After` grows for callers that come back too early; 0: it does not.
    #[serde(default)]
    pub max_retry_after_ms: u64,
    /// Name of the tier that counts each of its requests as well, and so on.
    #[serde(default)]
    pub within: Option<String>,
    #[serde(default)]
    pub share: ShareDocument,
}

/// Who counts a tier.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum ShareDocument {
    /// Each node for itself.
    #[default]
    None,
    /// The store that nodes share, for each request.
    Exact,
    /// The same, for blocks of so many requests, which nodes take ahead of need.
    Leased { block: u64 },
}

/// One subscriber has a /64 at least.
fn subscriber() -> u8 {
    64
}

#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum LimitAlgorithmDocument {
    #[default]
    SlidingWindow,
    FixedWindow,
    SlidingLog,
    TokenBucket {
        burst: u64,
    },
    Gcra {
        burst: u64,
    },
    LeakyBucket {
        max_delay_ms: u64,
    },
    Concurrency,
    Calendar(CalendarDocument),
}

#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct CalendarDocument {
    pub unit: CalendarUnit,
    /// From when on (milliseconds since the epoch) which offset to UTC (milliseconds) holds, in order; before that, UTC.
    pub offsets: Vec<(i64, i64)>,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum CalendarUnit {
    Day,
    Month,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum PerDocument {
    User,
    ApiKey,
    ClientIp,
    Route,
    Service,
    Global,
    /// Lower case.
    Header(String),
    /// What the client's software looks like.
    Fingerprint,
    Tenant,
    /// Path of a claim of the token.
    Claim(String),
}

/// What a request costs in a tier.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(rename_all = "snake_case")]
pub enum CountsDocument {
    /// The route's `cost`, before the request goes on.
    #[default]
    Requests,
    /// One for each begun KiB of the response, afterwards.
    ResponseKib,
    /// The number in this header (lower case) of the service's response, afterwards.
    ResponseHeader(String),
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct AdaptiveDocument {
    /// Use of the processors in percent above which the limit shrinks.
    pub from_percent: u16,
    /// What is left of the limit at 100 percent.
    pub floor_percent: u16,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct BanDocument {
    /// Refusals within `within_ms` that make a ban.
    pub after: u32,
    pub within_ms: u64,
    pub lasts_ms: u64,
    /// Each ban is twice as long as the one before, up to this. After as long without a ban, it begins anew.
    pub at_most_ms: u64,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RateLimitDocument {
    pub at: String,
    /// All of them have to admit. The tier of a caller takes the place of the first.
    pub tiers: Vec<String>,
    pub on_failure: OnFailure,
    /// What a request costs in tiers that count requests.
    #[serde(default = "one")]
    pub cost: u64,
    /// Charge tiers that would have admitted a request also where another refuses it.
    #[serde(default)]
    pub charge_refused: bool,
}

fn one() -> u64 {
    1
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum OnFailure {
    Local,
    Open,
    Closed,
}

/// Which headers tell callers about their limits.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum LimitHeaders {
    /// `X-RateLimit-*`.
    #[default]
    XRatelimit,
    /// `RateLimit` and `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers-10).
    Ietf,
    Both,
    None,
}
