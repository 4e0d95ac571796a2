//! The life of a request: every stage, in order, on one screen.
//!
//! `decide` is a pure function of its inputs: no clock, no I/O. The live path and `explain` call the same one.
//! `answer` is the live path around it: ask, forward or refuse, and account for it on every outcome.

pub mod account;
pub mod delivery;
pub mod explanation;
pub mod forward;

use std::sync::Arc;
use std::time::Instant;

use crate::authenticate::{self, TokenCache};
use crate::authorize;
use crate::balance::{self, Target};
use crate::exchange::Exchange;
use crate::http1::response_head::ResponseHead;
use crate::io::timer::Timer;
use crate::limit::{self, Counters, Limits, Permit};
use crate::questions::Question;
use crate::refusal::{CredentialFault, Refusal};
use crate::request::{Framing, Request};
use crate::respond::answer::Fixed;
use crate::respond::cors;
use crate::route;
use crate::shed::{self, Admission, Load};
use crate::snapshot::{Action, Proxy, Route, Snapshot};
use crate::worker::Worker;
use account::{Account, End, Visit};
use forward::Plan;

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

/// From route to balance. Leaves what it found out in the account, refused or not.
pub fn decide<'s>(
    snapshot: &'s Snapshot,
    request: &Request,
    facts: Facts,
    state: &mut State<'_>,
    account: &mut Account,
) -> Result<Next<'s>, Refusal> {
    let found = stages(snapshot, request, facts, state, account);
    found.map_err(|refusal| charge_unaccounted(snapshot, request, facts, state, refusal))
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
    state: &State<'_>,
    refusal: Refusal,
) -> Refusal {
    let (Refusal::NoRoute | Refusal::Unauthenticated { .. }, Some(tier)) =
        (&refusal, snapshot.unauthenticated_tier)
    else {
        return refusal;
    };
    let limits = Limits { counters: state.counters, tiers: &snapshot.tiers };
    let charged = limit::charge_client(limits, tier, request.client, facts.unix_ms);
    charged.err().unwrap_or(refusal)
}

/// Serves one request to its end, whatever that is, and accounts for it. False: the client's connection is to be cut.
pub async fn answer<E: Exchange>(
    worker: &Worker,
    visit: &Visit,
    request: &Request,
    exchange: &mut E,
    local: &mut Local,
) -> bool {
    local.account.begin();
    match run(worker, visit, request, exchange, local).await {
        Err(End::Refused(refusal)) => reject(worker, visit, request, refusal, (exchange, local)).await,
        ended => {
            local.account.write(worker, visit, request, &*exchange, ended.as_ref().err());
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
    local.account.write(worker, visit, request, &*exchange, Some(&End::Refused(refusal)));
    told.is_ok()
}

/// Accounts for a request that nobody goes on answering: the node stops before it has ended, or a stage panicked.
pub fn abandon<E: Exchange>(
    worker: &Worker,
    visit: &Visit,
    request: &Request,
    (exchange, local): (&E, &mut Local),
) {
    local.account.write(worker, visit, request, exchange, Some(&End::Abandoned));
}

async fn run<E: Exchange>(
    worker: &Worker,
    visit: &Visit,
    request: &Request,
    exchange: &mut E,
    local: &mut Local,
) -> Result<(), End> {
    if let Some(route) = preflight(&visit.snapshot, request) {
        let route = local.account.routed(&visit.snapshot, route)?;
        return delivery::preflight(worker, visit, request, route, (exchange, local)).await;
    }
    let next = match decide_now(worker, visit, request, local) {
        Err(Refusal::Unauthenticated {
            identity: Some(identity),
            fault: CredentialFault::UnknownKey,
            kind,
        }) => {
            let refusal = Refusal::Unauthenticated {
                identity: Some(identity),
                fault: CredentialFault::UnknownKey,
                kind,
            };
            ask_for_keys(worker, visit, identity, refusal).await?;
            local.account.begin();
            decide_now(worker, visit, request, local)?
        }
        decided => decided?,
    };
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

fn decide_now<'v>(
    worker: &Worker,
    visit: &'v Visit,
    request: &Request,
    local: &mut Local,
) -> Result<Next<'v>, Refusal> {
    let mut tokens = worker.tokens.borrow_mut();
    let mut state = State { counters: &worker.node.counters, tokens: &mut tokens, load: &worker.node.load };
    decide(&visit.snapshot, request, visit.facts, &mut state, &mut local.account)
}

/// The route that a CORS preflight asks about, where that route answers preflights.
fn preflight(snapshot: &Snapshot, request: &Request) -> Option<u32> {
    let method = cors::preflight_method(request)?;
    let found = route::find(&snapshot.table, request, method).ok()?;
    let route = snapshot.routes.get(found.route as usize)?;
    route.response.cors.is_some().then_some(found.route)
}

/// A token may name a key that is newer than the keys at hand: Python fetches them, once for all who wait (AU-9).
async fn ask_for_keys(
    worker: &Worker,
    visit: &Visit,
    identity: u32,
    refusal: Refusal,
) -> Result<(), Refusal> {
    let entry = visit.snapshot.identity_entries.get(identity as usize);
    let Some(entry) = entry.filter(|entry| entry.keys_are_pushed) else { return Err(refusal) };
    let question = Question::RefreshKeys { identity: entry.counted.named.name.to_string() };
    if worker.node.questions.ask(question, worker.node.options.identity_timeout()).await {
        Ok(())
    } else {
        Err(refusal)
    }
}
