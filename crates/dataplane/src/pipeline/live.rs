//! Deciding for a request that is really there: with the worker's own counters, and once more where Python can help.

use std::future::poll_fn;
use std::pin::pin;
use std::time::Instant;

use crate::authenticate::Renewed;
use crate::exchange::Exchange;
use crate::intake;
use crate::pipeline::account::Visit;
use crate::pipeline::asking::{Help, help};
use crate::pipeline::end::End;
use crate::pipeline::login::{self, Refreshed};
use crate::pipeline::watch::Watch;
use crate::pipeline::{
    Admitted, Facts, Local, Next, State, charge_unaccounted, direct, limits, screening, shared_limits, stages,
};
use crate::record::LoginEvent;
use crate::refusal::{BrowserRefusal, Refusal, Unjudged};
use crate::request::{Request, Scheme};
use crate::respond::answer::Fixed;
use crate::respond::cors;
use crate::respond::location::Location;
use crate::route;
use crate::snapshot::{Listener, Snapshot};
use crate::trail::{Awaited, Cause, Rule, Stage};
use crate::worker::Worker;

/// How often at most Python is asked for one request.
const MOST_ASKED: usize = 3;

/// Decides once more where Python found the key that a token names, knew the API key, or has checked the password. Only the last refusal is
/// charged: a client whose key is found has guessed nothing.
pub async fn reconsider<'v, E: Exchange>(
    worker: &Worker,
    visit: &'v Visit,
    request: &Request,
    mut refusal: Refusal,
    (exchange, local): (&mut E, &mut Local),
) -> Result<Next<'v>, End> {
    for asked in 1..=MOST_ASKED {
        let heard = (&mut *exchange, &mut local.account.trail);
        let renewed = match help(worker, visit, request, &refusal, heard).await? {
            Help::None => break,
            Help::Unjudged(identity, cause) => {
                refusal = Refusal::AuthenticationUnavailable { identity, cause };
                break;
            }
            Help::Again => None,
            Help::Renewed(renewed) => Some(renewed),
        };
        local.account.begin_again();
        let renewed = renewed.map(|Refreshed { renewed, cookies }| {
            local.account.cookies = cookies;
            renewed
        });
        match decide(worker, visit, request, renewed.as_ref(), local) {
            Ok(next) => return Ok(next),
            Err(again) => refusal = again,
        }
        if asked == MOST_ASKED || !is_forgotten(&refusal) {
            break;
        }
    }
    let limits = limits(&visit.snapshot, &worker.node.counters, &worker.node.load);
    let refusal = charge_unaccounted(limits, &visit.snapshot, request, (visit.facts, refusal));
    Err(lead_to_login(worker, visit, request, refusal, local).into())
}

/// What was told of a key was forgotten before the request could use it, since keys were changed meanwhile.
fn is_forgotten(refusal: &Refusal) -> bool {
    matches!(refusal, Refusal::AuthenticationUnavailable { cause: Unjudged::NotLookedUp, .. })
}

/// A refusal that a login would mend says where there is one.
fn lead_to_login(
    worker: &Worker,
    visit: &Visit,
    request: &Request,
    refusal: Refusal,
    local: &mut Local,
) -> Refusal {
    let Refusal::Browser(BrowserRefusal::LoginRequired { identity }) = refusal else { return refusal };
    match login::begin(visit, request, identity, local) {
        Some(location) => {
            worker.counts().logins.count(LoginEvent::Started);
            local.account.leads_to = Some(location.into());
            refusal
        }
        None => Refusal::AuthenticationUnavailable { identity, cause: Unjudged::NoProvider },
    }
}

pub fn decide<'v>(
    worker: &Worker,
    visit: &'v Visit,
    request: &Request,
    renewed: Option<&Renewed>,
    local: &mut Local,
) -> Result<Next<'v>, Refusal> {
    let mut tokens = worker.tokens.borrow_mut();
    tokens.set_capacity(visit.snapshot.token_cache as usize);
    let (counters, load) = (&worker.node.counters, &worker.node.load);
    let mut state = State { counters, tokens: &mut tokens, load, renewed };
    let decided = stages(&visit.snapshot, request, visit.facts, &mut state, &mut local.account);
    login::mark(visit, &mut local.account);
    decided
}

/// What a request has to wait for: the store of shared limits, and then its turn.
pub async fn wait_for<'v, E: Exchange>(
    worker: &Worker,
    visit: &'v Visit,
    request: &Request,
    next: Next<'v>,
    (exchange, local): (&mut E, &mut Local),
) -> Result<Next<'v>, End> {
    let next = match next {
        Next::Ask(admitted) => {
            shared_limits::ask(worker, visit, request, admitted, (&mut *exchange, &mut *local)).await?
        }
        Next::Wait(_) | Next::Answer(_) | Next::File(_) | Next::Login(_) | Next::Forward(_) => next,
    };
    match next {
        // On the heap, as requests that ask the store are many, and those that wait are few.
        Next::Wait(admitted) => Box::pin(take_turn(visit, request, *admitted, (exchange, local))).await,
        Next::Ask(_) | Next::Answer(_) | Next::File(_) | Next::Login(_) | Next::Forward(_) => Ok(next),
    }
}

/// Lets a request of a leaky bucket wait for its turn, for as long as its client does, and decides the rest then.
async fn take_turn<'v, E: Exchange>(
    visit: &'v Visit,
    request: &Request,
    mut admitted: Admitted<'v>,
    (exchange, local): (&mut E, &mut Local),
) -> Result<Next<'v>, End> {
    let Local { account, timer, .. } = &mut *local;
    if let Some((delay, tier)) = admitted.permit.delay() {
        let cause = Cause { stage: Stage::Limit, rule: Rule::Tier(tier), awaited: Awaited::Queue };
        timer.set(Instant::now() + delay);
        let turn = pin!(poll_fn(|context| timer.poll(context)));
        Watch::new(&mut account.trail, visit.began, cause).with(exchange, turn).await?;
    }
    admitted.permit.waited();
    let facts = Facts { now: Instant::now(), ..visit.facts };
    Ok(direct(&visit.snapshot, request, facts, &mut local.account, admitted)?)
}

/// Where a request that came in plain is to be sent on to, where its listener serves nothing else.
pub fn redirection(listener: &Listener, request: &Request) -> Option<Result<Fixed, Refusal>> {
    let redirection = listener.redirection.as_ref()?;
    // A proxy that we trust may have ended TLS already.
    let location = (request.scheme == Scheme::Http).then(|| redirection.location(request))?;
    Some(location.map(|location| Fixed::redirect(308, Location::exactly(&location))))
}

/// The route that a CORS preflight asks about, where that route answers preflights.
pub fn preflight(snapshot: &Snapshot, request: &Request, unix_ms: u64) -> Option<u32> {
    let method = cors::preflight_method(request)?;
    intake::directed(request).ok()?;
    let found = route::find(&snapshot.table, request, method).ok()?;
    let route = snapshot.routes.get(found.route as usize)?;
    let is_answered = route.response.cors.is_some() && !screening::shuts_out(snapshot, request, unix_ms);
    is_answered.then_some(found.route)
}
