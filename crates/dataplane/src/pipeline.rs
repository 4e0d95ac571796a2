//! The life of a request: every stage, in order, on one screen.
//!
//! `decide` is a pure function of its inputs: no clock, no I/O. The live path and `explain` call the same stages.
//! `answer` is the live path around it: ask, forward or refuse, and account for it on every outcome.

pub mod account;
mod asking;
mod bystander;
pub mod delivery;
pub mod end;
pub mod explanation;
mod file_delivery;
pub mod forward;
mod hedging;
mod introspecting;
mod limited;
pub mod live;
mod login;
mod login_call;
mod parts;
mod retrying;
mod screening;
mod self_check;
mod shared_limits;
mod signed;
mod trip;
mod tunnel;
mod watch;

use std::net::IpAddr;

use crate::authenticate;
use crate::authorize;
use crate::balance;
use crate::exchange::Exchange;
use crate::intake;
use crate::limit::{self, Answer, Counters, Limits, Permit};
use crate::refusal::{BrowserRefusal, HandshakeFault, Refusal};
use crate::request::{Framing, Request, Scheme};
use crate::route;
use crate::shed::{self, Load};
use crate::snapshot::{Action, Listener, Proxy, Route, Snapshot};
use crate::tenant;
use crate::websocket;
use crate::worker::Worker;
use account::{Account, Visit};
use end::End;
pub use live::{preflight, redirection};
pub use parts::{Admitted, Facts, Held, Local, Next, Socket, State};

/// Intake: the canonical request out of the bytes of a head; `None` while the head is incomplete.
pub fn receive(
    bytes: &[u8],
    scanned: &mut usize,
    listener: &Listener,
    peer: IpAddr,
    request: &mut Request,
) -> Result<Option<usize>, Refusal> {
    intake::read(bytes, scanned, &listener.limits(scheme(request)), peer, request)
}

/// The same out of a head that the codec of HTTP/2 has decoded; `ends`: no body follows.
pub fn receive_fields(
    head: &http::request::Parts,
    ends: bool,
    listener: &Listener,
    peer: IpAddr,
    request: &mut Request,
) -> Result<(), Refusal> {
    intake::read_fields(head, ends, &listener.limits(scheme(request)), peer, request)
}

/// How the peer reached us, which is a matter of the connection.
fn scheme(request: &Request) -> Scheme {
    if request.secured.is_some() { Scheme::Https } else { Scheme::Http }
}

/// Every stage from route to limit. Leaves what it found out in the account, refused or not.
fn admit<'s>(
    snapshot: &'s Snapshot,
    request: &Request,
    facts: Facts,
    state: &mut State<'_>,
    account: &mut Account,
) -> Result<Admitted<'s>, Refusal> {
    intake::directed(request)?;
    screening::enter(snapshot, request, facts.unix_ms, account)?;
    let limits = limits(snapshot, state.counters, state.load);
    if let Some(tier) = snapshot.limits.failed_authentication_tier {
        limit::check_client(limits, tier, request.client, facts.unix_ms)?;
    }
    let found = route::find(&snapshot.table, request, request.slice(request.method_text))?;
    let route = account.routed(snapshot, found.route)?;
    if route.gone_after_ms.is_some_and(|end| facts.unix_ms >= end) {
        return Err(Refusal::Gone);
    }
    if let Some(https_only) = &route.https_only {
        https_only.check(request)?;
    }
    screening::approach(snapshot, route, (request, facts.unix_ms), account)?;
    let admission = shed::admit(state.load, &snapshot.overload, route.priority, route.concurrency.as_ref())?;
    let caller =
        authenticate::identify(route.auth.as_ref(), request, state.tokens, state.renewed, facts.unix_ms)?;
    let caller = account.identified(route, caller);
    authorize::same_origin(route.cross_site.as_ref(), request, &caller)?;
    let tenants = (snapshot.tenants.as_ref().filter(|_| route.has_tenant()), route.tenants.as_deref());
    let tenant = account.belongs(tenant::find(tenants, &caller, request)?);
    let asked = authorize::Asked {
        request,
        parameters: found.parameters.as_slice(),
        tenant: tenant.as_deref().map(|tenant| &*tenant.name),
        unix_ms: facts.unix_ms,
    };
    let grant = authorize::grant(&route.policy, caller, asked)?.of(tenant);
    account.granted(route, &grant);
    let asked = (request, facts.unix_ms);
    let permit = limit::acquire(limits, route.limit.as_ref(), grant, asked, &mut account.trail)?;
    Ok(Admitted { route, permit: account.permitted(permit), admission })
}

/// What becomes of a request that may go on: the end of the stages, with balance where it goes to a service.
fn direct<'s>(
    snapshot: &'s Snapshot,
    request: &Request,
    facts: Facts,
    account: &mut Account,
    admitted: Admitted<'s>,
) -> Result<Next<'s>, Refusal> {
    let Admitted { route, permit, admission } = admitted;
    refuse_long_body(route, request)?;
    refuse_socket(route, request)?;
    let (mut target, mut upgrade) = (None, None);
    let next = match &route.action {
        Action::Answer(fixed) => Next::Answer(fixed),
        Action::Files(files) => Next::File(files),
        Action::Login(login) => Next::Login(login),
        Action::Proxy(proxy) => {
            account.serviced(proxy);
            upgrade = socket(proxy, request, &permit, facts.random)?;
            let service = snapshot.services.get(proxy.service).ok_or(Refusal::Internal)?;
            let ask = facts.ask(request, permit.grant(), proxy.breaker);
            let picked = target.insert(balance::pick(service, &ask)?);
            account.targeted(picked);
            Next::Forward(proxy)
        }
    };
    account.held = Some(Held { permit, admission: Some(admission), target, socket: upgrade });
    Ok(next)
}

/// Every stage, but the last ones of a request that has to wait for its turn.
fn stages<'s>(
    snapshot: &'s Snapshot,
    request: &Request,
    facts: Facts,
    state: &mut State<'_>,
    account: &mut Account,
) -> Result<Next<'s>, Refusal> {
    let admitted = admit(snapshot, request, facts, state, account)?;
    if admitted.permit.is_asking() {
        return Ok(Next::Ask(Box::new(admitted)));
    }
    if admitted.permit.delay().is_some() {
        return Ok(Next::Wait(Box::new(admitted)));
    }
    direct(snapshot, request, facts, account, admitted)
}

/// All of that, and the charge for requests that no caller accounts for.
pub fn decide<'s>(
    snapshot: &'s Snapshot,
    request: &Request,
    facts: Facts,
    state: &mut State<'_>,
    account: &mut Account,
) -> Result<Next<'s>, Refusal> {
    let found = match stages(snapshot, request, facts, state, account) {
        // Nobody else counts here.
        Ok(Next::Ask(mut admitted)) => {
            let limits = limits(snapshot, state.counters, state.load);
            let answered = admitted.permit.answered(limits, &Answer::Alone, &mut account.trail);
            answered.verdict.and_then(|()| direct(snapshot, request, facts, account, *admitted))
        }
        Ok(Next::Wait(admitted)) => direct(snapshot, request, facts, account, *admitted),
        found => found,
    };
    found.map_err(|refusal| {
        let limits = limits(snapshot, state.counters, state.load);
        charge_unaccounted(limits, snapshot, request, (facts, refusal))
    })
}

fn limits<'a>(snapshot: &'a Snapshot, counters: &'a Counters, load: &Load) -> Limits<'a> {
    let cpu_percent = if snapshot.tiers.adapts() { load.pressure().cpu.percent } else { 0 };
    Limits { counters, tiers: &snapshot.tiers, cpu_percent }
}

/// A body whose length is told is refused before any of it is read (requirement IN-7).
fn refuse_long_body(route: &Route, request: &Request) -> Result<(), Refusal> {
    match request.framing {
        Framing::Length(length) if length > route.max_body => {
            Err(Refusal::BodyTooLarge { limit: route.max_body })
        }
        Framing::Length(_) | Framing::Chunked | Framing::None => Ok(()),
    }
}

/// An answer to what is nothing but a handshake would open a WebSocket that nobody serves.
fn refuse_socket(route: &Route, request: &Request) -> Result<(), Refusal> {
    if request.extended && !route.has_websockets() {
        return Err(Refusal::BadHandshake(HandshakeFault::Route));
    }
    Ok(())
}

/// A WebSocket, where the route has them and the request asks for one.
fn socket(
    proxy: &Proxy,
    request: &Request,
    permit: &Permit,
    random: u64,
) -> Result<Option<Box<Socket>>, Refusal> {
    let Some(settings) = &proxy.websocket else { return Ok(None) };
    let Some(handshake) = websocket::handshake::read(request, random)? else { return Ok(None) };
    let place = websocket::places::take(settings, permit.grant().caller(), request.client)?;
    Ok(Some(Box::new(Socket { handshake, place })))
}

/// Guessing tokens or paths counts against the client's address, until it is refused for that (D1, D2).
fn charge_unaccounted(
    limits: Limits<'_>,
    snapshot: &Snapshot,
    request: &Request,
    (facts, refusal): (Facts, Refusal),
) -> Refusal {
    let is_failed = matches!(refusal, Refusal::Unauthenticated { .. });
    let leads_away = matches!(refusal, Refusal::Browser(BrowserRefusal::LoginRequired { .. }));
    if !is_failed && !leads_away && refusal != Refusal::NoRoute {
        return refusal;
    }
    let failed = snapshot.limits.failed_authentication_tier.filter(|_| is_failed);
    let tiers = [failed, snapshot.limits.unauthenticated_tier];
    let charge = |tier| limit::charge_client(limits, tier, request.client, facts.unix_ms).err();
    tiers.into_iter().flatten().find_map(charge).unwrap_or(refusal)
}

/// Intake's other half: a request id for what never became a request, so that its refusal can be found.
pub fn identify(request: &mut Request) {
    intake::identify(request);
}

/// Serves one request to its end, whatever that is, and accounts for it in an account just begun. False: the client's
/// connection is to be cut. Of the node's own request nothing is accounted for.
pub async fn answer<E: Exchange>(
    worker: &Worker,
    visit: &Visit,
    request: &Request,
    exchange: &mut E,
    local: &mut Local,
) -> bool {
    if worker.node.self_check.is_asked(request) {
        return Box::pin(self_check::answer(worker, visit, request, (exchange, local))).await;
    }
    match run(worker, visit, request, exchange, local).await {
        Err(End::Refused(refusal)) => reject(worker, visit, request, refusal, (exchange, local)).await,
        ended => {
            local.account.close(worker, visit, ended.as_ref().err());
            local.account.write(worker, visit, request, (&*exchange, &local.response));
            ended.is_ok()
        }
    }
}

/// Refuses a request, be it one that never became one, and accounts for it.
pub async fn reject<E: Exchange>(
    worker: &Worker,
    visit: &Visit,
    request: &Request,
    refusal: Refusal,
    (exchange, local): (&mut E, &mut Local),
) -> bool {
    local.account.refused(&refusal);
    let told = delivery::refuse(worker, visit, request, &refusal, (&mut *exchange, &mut *local)).await;
    local.account.close(worker, visit, Some(&End::Refused(refusal)));
    local.account.write(worker, visit, request, (&*exchange, &local.response));
    told.is_ok()
}

/// Accounts for a request that nobody serves to its end.
pub fn abandon<E: Exchange>(
    worker: &Worker,
    visit: &Visit,
    request: &Request,
    end: End,
    (exchange, local): (&E, &mut Local),
) {
    local.account.close(worker, visit, Some(&end));
    local.account.write(worker, visit, request, (exchange, &local.response));
}

async fn run<E: Exchange>(
    worker: &Worker,
    visit: &Visit,
    request: &Request,
    exchange: &mut E,
    local: &mut Local,
) -> Result<(), End> {
    #[cfg(test)]
    crate::testing::panic_where_asked(request);
    if let Some(redirect) = redirection(&visit.listener, request) {
        return delivery::redirect(worker, visit, request, &redirect?, (exchange, local)).await;
    }
    if let Some(route) = preflight(&visit.snapshot, request, visit.facts.unix_ms) {
        let route = local.account.routed(&visit.snapshot, route)?;
        return delivery::preflight(worker, visit, request, route, (exchange, local)).await;
    }
    let next = match live::decide(worker, visit, request, None, local) {
        Ok(next) => next,
        Err(refusal) => {
            live::reconsider(worker, visit, request, refusal, (&mut *exchange, &mut *local)).await?
        }
    };
    shared_limits::take_ahead(worker, visit, &mut local.account);
    let next = match next {
        // On the heap, so that requests which do not wait carry nothing of it about.
        Next::Ask(_) | Next::Wait(_) => {
            Box::pin(live::wait_for(worker, visit, request, next, (&mut *exchange, &mut *local))).await?
        }
        Next::Answer(_) | Next::File(_) | Next::Login(_) | Next::Forward(_) => next,
    };
    conclude(worker, visit, request, next, (exchange, local)).await
}

/// What was decided is done.
async fn conclude<E: Exchange>(
    worker: &Worker,
    visit: &Visit,
    request: &Request,
    next: Next<'_>,
    (exchange, local): (&mut E, &mut Local),
) -> Result<(), End> {
    // Until this is over, whatever its end.
    let Some(mut held) = local.account.held.take() else { return Err(Refusal::Internal.into()) };
    match next {
        // Nobody waits twice.
        Next::Ask(_) | Next::Wait(_) => Err(Refusal::Internal.into()),
        Next::Answer(fixed) => delivery::fixed(worker, visit, request, fixed, (exchange, local)).await,
        Next::File(files) => file_delivery::serve(worker, visit, request, files, (exchange, local)).await,
        // On the heap, since every connection would have to have room for it.
        Next::Login(login) => Box::pin(login::serve(worker, visit, request, login, (exchange, local))).await,
        Next::Forward(proxy) => {
            forward::forward(worker, visit, request, (proxy, &mut held), (exchange, local)).await
        }
    }
}
