//! What a choice is made from.

use std::sync::Arc;
use std::time::Instant;

use super::instance::Instance;
use crate::caller::Caller;
use crate::request::Request;

/// Which breaker a route uses (requirements BH-19, D11).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerUse {
    /// None refuses or counts its requests.
    None,
    /// That of the service, or of each of its instances.
    Shared,
    /// One for each tenant; for requests of none as `Shared`.
    Tenant,
    /// Its own; the place in the service's list.
    Own(u32),
}

/// What a choice is made from. The same of all this, and the same state, gives the same instance.
#[derive(Clone, Copy)]
pub struct Ask<'a> {
    pub request: &'a Request,
    pub caller: &'a Caller,
    /// Whose breaker it is where there is one for each.
    pub tenant: Option<&'a str>,
    /// The route's (requirement BH-19): which breaker, if any, refuses and counts this request.
    pub breaker: BreakerUse,
    pub now: Instant,
    /// Any number, another one for each request.
    pub random: u64,
    /// Instances that this request was sent to before: any other goes before them.
    pub tried: &'a [&'a Arc<Instance>],
}
