//! The life of a request: every stage, in order, on one screen.
//!
//! `decide` is a pure function of its inputs: no clock, no I/O. The live path and `explain` call the same stages.
//! `answer` is the live path around it: ask, forward or refuse, and account for it on every outcome.

pub mod account;
pub mod delivery;
pub mod explanation;
pub mod forward;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use crate::authenticate::{self, TokenCache};
use crate::authorize;
use crate::balance::{self, Target};
use crate::exchange::Exchange;
use crate::http1::response_head::ResponseHead;
use crate::intake;
use crate::io::timer::Timer;
use crate::limit::{self, Counters, Limits, Permit};
use crate::questions::Question;
use crate::refusal::{CredentialFault, Refusal};
use crate::request::{Framing, Request, Scheme};
use crate::respond::answer::Fixed;
use crate::respond::cors;
use crate::route;
use crate::shed::{self, Admission, Load};
use crate::snapshot::{Action, Listener, Proxy, Route, Snapshot};
use crate::worker::Worker;
use account::{Account, End, Visit};
use forward::Plan;

/// An idle connection keeps at most this much memory for heads and bodies that go to services.
const KEPT: usize = 4 * 1024;

/// The time of a decision; read once, before it.
#[derive(Clone, Copy, Debug)]
pub struct Facts {
    pub now: Instant,
    pub unix_ms: u64,
}

/// What decisions count in. `explain` brings its own, fresh ones.
pub struct State<'a> {
    pub counters: &'a Counters,
    pub tokens: &'a mut TokenCache,
    pub load: &'a Arc<Load>,
}

/// What is to be done with a request that nobody refused.
pub enum Next<'s> {
    Answer { fixed: &'s Fixed, permit: Permit, admission: Admission },
    Forward { proxy: &'s Proxy, permit: Permit, target: Target, admission: Admission },
}

/// Memory of a connection that its requests use one after the other.
pub struct Local {
    pub account: Account,
    pub timer: Timer,
    pub response: ResponseHead,
    pub outgoing: Vec<u8>,
    pub path: Vec<u8>,
}

/// Intake: the canonical request out of the bytes of a head; `None` while the head is incomplete.
pub fn receive(
    bytes: &[u8],
    scanned: &mut usize,
    listener: &Listener,
    peer: IpAddr,
    request: &mut Request,
) -> Result<Option<usize>, Refusal> {
    intake::read(bytes, scanned, &listener.limits(Scheme::Http), peer, request)
}

/// Intake's other half: a request id for what never became a request, so that its refusal can be found.
pub fn identify(request: &mut Request) {
    intake::identify(request);
}

impl Local {
    /// Gives memory of a long request back before the connection idles.
    pub fn rest(&mut self) {
        if self.outgoing.capacity() > KEPT {
            self.outgoing = Vec::new();
        }
    }
}

/// From route to balance. Leaves what it found out in the account, refused or not.
pub fn decide<'s>(
    snapshot: &'s Snapshot,
    request: &Request,
    facts: Facts,
    state: &mut State<'_>,
    account: &mut Account,
) -> Result<Next<'s>, Refusal> {
    let found = stages(snapshot, request, facts, state, account);
    found.map_err(|refusal| charge_unaccounted(snapshot, request, facts, state.counters, refusal))
}

fn stages<'s>(
    snapshot: &'s Snapshot,
    request: &Request,
    facts: Facts,
    state: &mut State<'_>,
    account: &mut Account,
) -> Result<Next<'s>, Refusal> {
    let found = route::find(&snapshot.table, request, request.slice(request.method_text))?;
    let route = account.routed(snapshot, found.route)?;
    let admission = shed::admit(state.load, snapshot.max_in_flight)?;
    let caller = authenticate::identify(route.auth.as_ref(), request, state.tokens, facts.unix_ms)?;
    let grant = authorize::grant(&route.scopes, account.identified(route, caller))?;
    account.granted(route);
    let limits = Limits { counters: state.counters, tiers: &snapshot.tiers };
    let permit = limit::acquire(limits, route.limit.as_ref(), grant, request.client, facts.unix_ms)?;
    account.permitted(&permit);
    refuse_long_body(route, request)?;
    match &route.action {
        Action::Answer(fixed) => Ok(Next::Answer { fixed, permit, admission }),
        Action::Proxy(proxy) => {
            account.serviced(proxy);
            let service = snapshot.services.get(proxy.service).ok_or(Refusal::Internal)?;
            let target = balance::pick(service, proxy.circuit_breaker, facts.now)?;
            account.targeted(&target);
            Ok(Next::Forward { proxy, permit, target, admission })
        }
    }
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

/// Guessing tokens or paths counts against the client's address, until it is refused for that (D1, D2).
fn charge_unaccounted(
    snapshot: &Snapshot,
    request: &Request,
    facts: Facts,
    counters: &Counters,
    refusal: Refusal,
) -> Refusal {
    let (Refusal::NoRoute | Refusal::Unauthenticated { .. }, Some(tier)) =
        (&refusal, snapshot.unauthenticated_tier)
    else {
        return refusal;
    };
    let limits = Limits { counters, tiers: &snapshot.tiers };
    let charged = limit::charge_client(limits, tier, request.client, facts.unix_ms);
    charged.err().unwrap_or(refusal)
}

/// Serves one request to its end, whatever that is, and accounts for it in an account just begun. False: the client's connection is to be cut.
pub async fn answer<E: Exchange>(
    worker: &Worker,
    visit: &Visit,
    request: &Request,
    exchange: &mut E,
    local: &mut Local,
) -> bool {
    match run(worker, visit, request, exchange, local).await {
        Err(End::Refused(refusal)) => reject(worker, visit, request, refusal, (exchange, local)).await,
        ended => {
            local.account.close(worker, visit, ended.as_ref().err());
            local.account.write(worker, visit, request, &*exchange);
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
    local.account.write(worker, visit, request, &*exchange);
    told.is_ok()
}

/// Accounts for a request that nobody serves to its end, because of a panic or because the worker stops.
pub fn abandon<E: Exchange>(
    worker: &Worker,
    visit: &Visit,
    request: &Request,
    exchange: &E,
    account: &mut Account,
) {
    let end = if std::thread::panicking() { End::Panicked } else { End::Stopped };
    account.close(worker, visit, Some(&end));
    account.write(worker, visit, request, exchange);
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
    if let Some(route) = preflight(&visit.snapshot, request) {
        let route = local.account.routed(&visit.snapshot, route)?;
        return delivery::preflight(worker, visit, request, route, (exchange, local)).await;
    }
    let next = settle(worker, visit, request, local).await?;
    match next {
        Next::Answer { fixed, permit, admission } => {
            let _in_flight = (permit, admission);
            delivery::fixed(worker, visit, request, fixed, (exchange, local)).await
        }
        Next::Forward { proxy, permit, target, admission } => {
            let _in_flight = admission;
            let plan = Plan { proxy, permit, target };
            forward::forward(worker, visit, request, plan, (exchange, local)).await
        }
    }
}

/// Decides, once more where Python found the key that a token names. Only the last refusal is charged: a client whose
/// key is found has guessed nothing.
async fn settle<'v>(
    worker: &Worker,
    visit: &'v Visit,
    request: &Request,
    local: &mut Local,
) -> Result<Next<'v>, Refusal> {
    let mut refusal = match decide_now(worker, visit, request, local) {
        Ok(next) => return Ok(next),
        Err(refusal) => refusal,
    };
    if let Some(identity) = unknown_key(&refusal)
        && ask_for_keys(worker, visit, identity).await
    {
        local.account.begin();
        match decide_now(worker, visit, request, local) {
            Ok(next) => return Ok(next),
            Err(again) => refusal = again,
        }
    }
    Err(charge_unaccounted(&visit.snapshot, request, visit.facts, &worker.node.counters, refusal))
}

fn unknown_key(refusal: &Refusal) -> Option<u32> {
    if let Refusal::Unauthenticated { identity, fault: CredentialFault::UnknownKey, .. } = refusal {
        return *identity;
    }
    None
}

fn decide_now<'v>(
    worker: &Worker,
    visit: &'v Visit,
    request: &Request,
    local: &mut Local,
) -> Result<Next<'v>, Refusal> {
    let mut tokens = worker.tokens.borrow_mut();
    tokens.set_capacity(visit.snapshot.token_cache as usize);
    let mut state = State { counters: &worker.node.counters, tokens: &mut tokens, load: &worker.node.load };
    stages(&visit.snapshot, request, visit.facts, &mut state, &mut local.account)
}

/// The route that a CORS preflight asks about, where that route answers preflights.
pub fn preflight(snapshot: &Snapshot, request: &Request) -> Option<u32> {
    let method = cors::preflight_method(request)?;
    let found = route::find(&snapshot.table, request, method).ok()?;
    let route = snapshot.routes.get(found.route as usize)?;
    route.response.cors.is_some().then_some(found.route)
}

/// A token may name a key that is newer than the keys at hand: Python fetches them, once for all who wait (AU-9).
/// False when there are none to be had.
async fn ask_for_keys(worker: &Worker, visit: &Visit, identity: u32) -> bool {
    let entry = visit.snapshot.identity_entries.get(identity as usize);
    let Some(entry) = entry.filter(|entry| entry.keys_are_pushed) else { return false };
    let question = Question::RefreshKeys { identity: entry.counted.named.name.to_string() };
    worker.node.questions.ask(question, worker.node.options.identity_timeout()).await
}
