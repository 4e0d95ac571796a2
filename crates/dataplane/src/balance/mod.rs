//! Balance: which instance of the service takes this request?
//! Takes a service. Gives a `Target`. Refuses with `ServiceUnavailable`.
//!
//! The order is: health says which instances may be asked, the algorithm chooses one of them, the breaker of the service
//! filters the request (requirement BH-3). State lives in a [`Registry`], so it survives snapshots; settings live in the snapshot.

mod admission;
mod ask;
mod breaker;
mod budget;
pub mod checks;
mod choose;
mod draw;
mod ejection;
mod events;
mod health;
mod instance;
mod key;
mod latency;
mod ledger;
mod load;
mod maglev;
mod own;
mod pins;
mod probe;
mod probe_http2;
mod registry;
mod roster;
mod schedule;
mod service;
mod services;
mod standing;
mod sticky;
mod summary;
mod target;
mod terms;

#[cfg(test)]
mod tests;

pub use ask::{Ask, BreakerUse};
pub use breaker::{
    BreakerChange, BreakerCount, BreakerHold, BreakerReason, BreakerState, BreakerTransition, Tally,
};
pub use budget::{Budget, BudgetRules};
pub use choose::Reason;
pub use health::{Health, Transition};
pub use instance::Instance;
pub use registry::Registry;
pub use service::Service;
pub use services::Services;
pub use standing::Standing;
pub use summary::{BreakerSummary, InstanceSummary, ServiceSummary};
pub use target::{Outcome, Target, pick};
