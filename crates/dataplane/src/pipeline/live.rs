//! Deciding for a request that is really there: with the worker's own counters, and once more where Python can help.

use std::future::poll_fn;
use std::task::Poll;
use std::time::{Duration, Instant};

use crate::exchange::Exchange;
use crate::intake;
use crate::pipeline::account::Visit;
use crate::pipeline::end::End;
use crate::pipeline::{Admitted, Facts, Local, Next, State, charge_unaccounted, direct, limits, stages};
use crate::questions::Question;
use crate::refusal::{CredentialFault, Refusal};
use crate::request::{Request, Scheme};
use crate::respond::answer::Fixed;
use crate::respond::cors;
use crate::respond::location::Location;
use crate::route;
use crate::snapshot::{Listener, Snapshot};
use crate::worker::Worker;

/// Decides once more where Python found the key that a token names. Only the last refusal is charged: a client whose key
/// is found has guessed nothing.
pub async fn reconsider<'v>(
    worker: &Worker,
    visit: &'v Visit,
    request: &Request,
    local: &mut Local,
    mut refusal: Refusal,
) -> Result<Next<'v>, Refusal> {
    if let Some(identity) = unknown_key(&refusal)
        && ask_for_keys(worker, visit, identity).await
    {
        local.account.begin();
        match decide(worker, visit, request, local) {
            Ok(next) => return Ok(next),
            Err(again) => refusal = again,
        }
    }
    let limits = limits(&visit.snapshot, &worker.node.counters, &worker.node.load);
    Err(charge_unaccounted(limits, &visit.snapshot, request, (visit.facts, refusal)))
}

fn unknown_key(refusal: &Refusal) -> Option<u32> {
    if let Refusal::Unauthenticated { identity, fault: CredentialFault::UnknownKey, .. } = refusal {
        return *identity;
    }
    None
}

pub fn decide<'v>(
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

/// Lets a request of a leaky bucket wait for its turn, for as long as its client does, and decides the rest then.
pub async fn take_turn<'v, E: Exchange>(
    visit: &'v Visit,
    request: &Request,
    mut admitted: Admitted<'v>,
    (exchange, local): (&mut E, &mut Local),
) -> Result<Next<'v>, End> {
    wait(admitted.permit.delay().unwrap_or_default(), exchange, local).await?;
    admitted.permit.waited();
    let facts = Facts { now: Instant::now(), ..visit.facts };
    Ok(direct(&visit.snapshot, request, facts, &mut local.account, admitted)?)
}

async fn wait<E: Exchange>(delay: Duration, exchange: &mut E, local: &mut Local) -> Result<(), End> {
    let timer = &mut local.timer;
    timer.set(Instant::now() + delay);
    poll_fn(|context| {
        if exchange.body_is_complete() && exchange.poll_gone(context).is_ready() {
            return Poll::Ready(Err(End::ClientGone));
        }
        timer.poll(context).map(Ok)
    })
    .await
}

/// Where a request that came in plain is to be sent on to, where its listener serves nothing else.
pub fn redirection(listener: &Listener, request: &Request) -> Option<Result<Fixed, Refusal>> {
    let redirection = listener.redirection.as_ref()?;
    // A proxy that we trust may have ended TLS already.
    let location = (request.scheme == Scheme::Http).then(|| redirection.location(request))?;
    Some(location.map(|location| Fixed::redirect(308, Location::exactly(&location))))
}

/// The route that a CORS preflight asks about, where that route answers preflights.
pub fn preflight(snapshot: &Snapshot, request: &Request) -> Option<u32> {
    let method = cors::preflight_method(request)?;
    intake::directed(request).ok()?;
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
