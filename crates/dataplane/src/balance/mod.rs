//! Balance: which instance of the service takes this request?
//! Takes a service. Gives a `Target`. Refuses with `ServiceUnavailable`.
//!
//! The order is: the balancer proposes an instance, health filters it, the breaker of the service filters the request
//! (requirement BH-3). State lives in a [`Registry`], so it survives snapshots; settings live in the snapshot.

mod breaker;
pub mod health;
mod instance;
mod probe;
mod probe_http2;
mod registry;
mod schedule;
mod service;
mod summary;
mod target;

#[cfg(test)]
mod tests;

pub use breaker::{BreakerCount, BreakerReason, BreakerState, BreakerTransition, Tally};
pub use health::{Health, Transition};
pub use instance::Instance;
pub use registry::Registry;
pub use service::{Service, Services};
pub use summary::{BreakerSummary, InstanceSummary, ServiceSummary};
pub use target::{Outcome, Target, pick};
