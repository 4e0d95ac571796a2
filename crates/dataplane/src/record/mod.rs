//! Record: what happened to this request, and how often does it happen?
//! Takes an `Entry` when the response was sent. Gives one JSON line, and counts. Refuses nothing; runs on every outcome.
//!
//! `entry` and `line` encode a record, `recorder` collects a worker's lines, `queue` carries them to Python.
//! `census` counts all requests for roll-ups and alerts. `registry` holds every metric, `scrape` lists them, `page` prints them in one of several formats.

mod addresses;
mod cards;
mod cells;
mod census;
mod codes;
mod counts;
mod distribution;
mod entry;
mod escape;
mod exemplars;
mod external;
mod families;
mod histogram;
mod http2;
mod keys;
mod line;
mod listeners;
mod logins;
mod malformed;
mod metrics;
mod named;
mod octaves;
mod page;
mod policy;
mod queue;
mod quoted;
mod recorder;
mod redact;
mod registry;
mod revocations;
mod rules;
mod sampling;
mod scrape;
mod scrape_breakers;
mod scrape_instances;
mod scrape_listeners;
mod scrape_retries;
mod scrape_services;
mod scrape_websockets;
mod secrets;
mod services;
mod shared_limits;
mod statuses;
mod tenants;
mod timestamp;
mod told;
mod users;
mod waits;
mod websocket;

#[cfg(test)]
mod line_tests;
#[cfg(test)]
mod policy_tests;
#[cfg(test)]
mod scrape_tests;

pub use addresses::{AddressFileLine, Barred};
pub use cells::{Cell, PerWorker};
pub use census::{Census, CensusCell, Distribution, Kind, Latency};
pub use counts::{NodeMetrics, TimeoutKind, WorkerCounts};
pub use entry::{Entry, Names, Times, Traced};
pub use external::{
    BreakerLine, BreakerState, ConcurrencyLine, External, InstanceLine, LimitLine, OverloadLine, PendingLine,
    ServiceLine,
};
pub use families::Family;
pub use http2::{Flood, Http2Slot, ResetCause};
pub use keys::{KeyCacheLine, KeyLookup, KeyLookups, NonceLine, PasswordCacheLine};
pub use listeners::{Handshake, ListenerMetrics};
pub use logins::{LoginEvent, Logins};
pub use metrics::{RouteMetrics, Sample, Tally, Trace};
pub use named::OTHER;
pub use page::{Format, Span};
pub use policy::Policy;
pub use queue::{Lines, Queue, QueueCounts};
pub use quoted::{Quoted, encode_rule};
pub use recorder::Recorder;
pub use registry::Registry;
pub use revocations::{ProofLine, RevocationLine};
pub use sampling::{Chance, Kept};
pub use scrape::print;
pub use services::{Hedged, ServiceMetrics, ServiceSlot};
pub use shared_limits::{Fallback, SharedLimits, SharedStoreLine, StoreFailure};
pub use tenants::{TenantMetrics, TenantRegistry};
pub use websocket::{Closed, WebSocketSlot};
