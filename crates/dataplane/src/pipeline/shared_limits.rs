//! Limits that nodes count together: asking the store, and going on by what it says.

use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Instant;

use tokio::task::spawn_local;

use crate::exchange::Exchange;
use crate::limit::{Answer, Line};
use crate::pipeline::account::{Account, Visit};
use crate::pipeline::end::End;
use crate::pipeline::watch::Watch;
use crate::pipeline::{Admitted, Local, Next, direct, limits};
use crate::record::{Fallback, StoreFailure};
use crate::request::Request;
use crate::shared_store::Trouble;
use crate::snapshot::document::OnFailure;
use crate::trail::{Awaited, Cause, Rule, Stage, Trail};
use crate::worker::Worker;

const CAUSE: Cause = Cause { stage: Stage::Limit, rule: Rule::None, awaited: Awaited::Redis };

/// Asks about all tiers of a request at once, and decides the rest when the answer is there: also where the client has
/// left meanwhile, since the store has charged by then, and what it has given must not be lost. Only then such a request
/// ends, and pays, as one that leaves in a leaky bucket does.
pub async fn ask<'v, E: Exchange>(
    worker: &Worker,
    visit: &'v Visit,
    request: &Request,
    mut admitted: Box<Admitted<'v>>,
    (exchange, local): (&mut E, &mut Local),
) -> Result<Next<'v>, End> {
    let snapshot = &visit.snapshot;
    let lines = admitted.permit.lines(limits(snapshot, &worker.node.counters, &worker.node.load));
    let answer = answer_to(worker, visit, &admitted, &lines, &mut local.account.trail).await;
    let limits = limits(snapshot, &worker.node.counters, &worker.node.load);
    let answered = admitted.permit.answered(limits, &answer, &mut local.account.trail);
    if !answered.give_back.is_empty() {
        tell(worker, visit, answered.give_back);
    }
    answered.verdict?;
    admitted.permit = local.account.permitted(admitted.permit);
    if poll_fn(|context| Poll::Ready(exchange.poll_gone(context))).await.is_ready() {
        return Err(End::ClientGone);
    }
    if admitted.permit.delay().is_some() {
        return Ok(Next::Wait(admitted));
    }
    Ok(direct(snapshot, request, visit.facts, &mut local.account, *admitted)?)
}

async fn answer_to(
    worker: &Worker,
    visit: &Visit,
    admitted: &Admitted<'_>,
    lines: &[Line],
    trail: &mut Trail,
) -> Answer {
    let counts = &worker.counts().shared_limits;
    let Some(settings) = &visit.snapshot.shared_store else { return Answer::Alone };
    let shared = &worker.node.shared;
    let nodes = shared.nodes(settings);
    if let Some(bypass) = shared.bypassed(visit.facts.unix_ms) {
        counts.fell_back(Fallback::Bypass);
        return Answer::Bypassed { nodes: bypass.counts.then_some(nodes) };
    }
    let began = Instant::now();
    let asked = pin!(worker.shared.ask(settings, lines, began));
    let (told, took) = Watch::new(trail, visit.began, CAUSE).since(began).over(asked).await;
    match told {
        Ok(told) => {
            counts.answered(took);
            Answer::Told(told)
        }
        Err(trouble) => {
            counts.failed(failure(trouble));
            counts.fell_back(match admitted.route.limit.as_ref().map(|rule| rule.on_failure()) {
                Some(OnFailure::Open) => Fallback::Open,
                Some(OnFailure::Closed) => Fallback::Closed,
                Some(OnFailure::Local) | None => Fallback::Local,
            });
            Answer::Nobody { nodes }
        }
    }
}

fn failure(trouble: Trouble) -> StoreFailure {
    match trouble {
        Trouble::Late => StoreFailure::Late,
        Trouble::Connection => StoreFailure::Connection,
        Trouble::Answer => StoreFailure::Answer,
        Trouble::Full => StoreFailure::Full,
        Trouble::Open => StoreFailure::Open,
    }
}

/// Tells the store what nobody waits for. Where it cannot be told, what is told is lost.
pub fn tell(worker: &Worker, visit: &Visit, lines: Vec<Line>) {
    let Some(settings) = visit.snapshot.shared_store.clone() else { return };
    let (client, node, index) = (Rc::clone(&worker.shared), Arc::clone(&worker.node), worker.index);
    spawn_local(async move {
        let began = Instant::now();
        let counts = &node.metrics.node().worker(index).shared_limits;
        match client.ask(&settings, &lines, began).await {
            Ok(_) => counts.answered(began.elapsed()),
            Err(trouble) => counts.failed(failure(trouble)),
        }
    });
}

/// Takes blocks of shared counts before they are needed.
pub fn take_ahead(worker: &Worker, visit: &Visit, account: &mut Account) {
    let Some(settings) = visit.snapshot.shared_store.as_ref().filter(|_| !account.ahead.is_empty()) else {
        return;
    };
    let is_bypassed = worker.node.shared.bypassed(visit.facts.unix_ms).is_some();
    for ahead in account.ahead.drain(..).filter(|_| !is_bypassed) {
        let (client, node, index) = (Rc::clone(&worker.shared), Arc::clone(&worker.node), worker.index);
        let (settings, snapshot) = (Arc::clone(settings), Arc::clone(&visit.snapshot));
        spawn_local(async move {
            let began = Instant::now();
            let line = ahead.line(limits(&snapshot, &node.counters, &node.load));
            let counts = &node.metrics.node().worker(index).shared_limits;
            match client.ask(&settings, &[line], began).await {
                Ok(told) => {
                    counts.answered(began.elapsed());
                    let limits = limits(&snapshot, &node.counters, &node.load);
                    told.iter().for_each(|told| ahead.told(limits, told));
                }
                Err(trouble) => counts.failed(failure(trouble)),
            }
        });
    }
}
