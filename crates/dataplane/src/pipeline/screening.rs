//! Which addresses may ask, as the stages and the live path use it: on the whole gateway, then on a route.

use crate::authorize::{self, Screen, Visitor};
use crate::pipeline::account::Account;
use crate::refusal::{Barrier, Refusal};
use crate::request::Request;
use crate::snapshot::{Route, Snapshot};
use crate::trail::Rule;

/// Before anything else is decided or charged: who is blocked by hand, and what holds for every request.
pub fn enter(
    snapshot: &Snapshot,
    request: &Request,
    unix_ms: u64,
    account: &mut Account,
) -> Result<(), Refusal> {
    let screening = &snapshot.screening;
    if let Some(network) = screening.blocks.find(request.client, unix_ms) {
        return Err(Refusal::AddressNotAllowed(Barrier::Blocked { network }));
    }
    let Some(screen) = &screening.all else { return Ok(()) };
    pass(snapshot, screen, (request, unix_ms, Rule::None), account)
}

/// What holds for the route that was found.
pub fn approach(
    snapshot: &Snapshot,
    route: &Route,
    (request, unix_ms): (&Request, u64),
    account: &mut Account,
) -> Result<(), Refusal> {
    let Some(screen) = &route.screen else { return Ok(()) };
    let rule = account.route_rule();
    pass(snapshot, screen, (request, unix_ms, rule), account)
}

fn pass(
    snapshot: &Snapshot,
    screen: &Screen,
    (request, unix_ms, rule): (&Request, u64, Rule),
    account: &mut Account,
) -> Result<(), Refusal> {
    let country = if screen.asks_country() { account.look_up_country(snapshot, request) } else { None };
    let visitor = Visitor { request, country, unix_ms, rule };
    authorize::screen(screen, &snapshot.screening.grounds, &visitor, &mut account.trail)
}

/// Nobody answers a preflight to an address that no request is answered to. What a challenge is for, a preflight cannot
/// meet: it has no cookies.
pub fn shuts_out(snapshot: &Snapshot, request: &Request, unix_ms: u64) -> bool {
    let entered = enter(snapshot, request, unix_ms, &mut Account::default());
    matches!(entered, Err(Refusal::AddressNotAllowed(_)))
}
