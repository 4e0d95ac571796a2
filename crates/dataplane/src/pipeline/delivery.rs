//! Answers that the gateway gives by itself: fixed responses, preflights, refusals. Head, body, and out.

use std::future::poll_fn;
use std::task::Poll;
use std::time::Instant;

use crate::exchange::Exchange;
use crate::io::timer::Timer;
use crate::pipeline::Local;
use crate::pipeline::account::Visit;
use crate::pipeline::end::End;
use crate::refusal::Refusal;
use crate::request::Request;
use crate::respond::answer::{self, Fixed};
use crate::respond::location::Location;
use crate::respond::pages::Pages;
use crate::respond::refuse::{self, Failure, Told};
use crate::respond::{self, Facts};
use crate::session::Handoff;
use crate::snapshot::{Route, Snapshot};
use crate::worker::Worker;

/// What the head of any answer is made of at this moment.
pub fn facts<'a>(
    worker: &Worker,
    visit: &'a Visit,
    request: &'a Request,
    local: &'a Local,
    date: &'a [u8],
) -> Facts<'a> {
    let snapshot = &visit.snapshot;
    let route = local.account.route(snapshot);
    respond::Facts {
        request,
        policy: Some(route.map_or(&snapshot.unrouted_response, |route| &route.response)),
        limit: local.account.limited(visit),
        elapsed: visit.began.elapsed(),
        date,
        close: visit.is_last(worker),
        cookie: None,
        login: &local.account.cookies,
    }
}

pub async fn fixed<E: Exchange>(
    worker: &Worker,
    visit: &Visit,
    request: &Request,
    fixed: &Fixed,
    (exchange, local): (&mut E, &mut Local),
) -> Result<(), End> {
    fixed.check(request)?;
    local.account.status = fixed.status;
    let date = worker.date(visit.facts.unix_ms);
    let facts = facts(worker, visit, request, local, &date);
    let body = answer::fixed(exchange, &facts, fixed);
    send(visit, body, exchange, local).await
}

/// Sends a request that came in plain on to `https`.
pub async fn redirect<E: Exchange>(
    worker: &Worker,
    visit: &Visit,
    request: &Request,
    redirect: &Fixed,
    (exchange, local): (&mut E, &mut Local),
) -> Result<(), End> {
    local.account.redirected();
    fixed(worker, visit, request, redirect, (exchange, local)).await
}

pub async fn preflight<E: Exchange>(
    worker: &Worker,
    visit: &Visit,
    request: &Request,
    route: &Route,
    (exchange, local): (&mut E, &mut Local),
) -> Result<(), End> {
    local.account.status = 204;
    let date = worker.date(visit.facts.unix_ms);
    let mut facts = facts(worker, visit, request, local, &date);
    facts.policy = Some(&route.response);
    answer::preflight(exchange, &facts);
    send(visit, &[], exchange, local).await
}

/// Sends a browser to its provider, or back from it.
pub async fn handoff<E: Exchange>(
    worker: &Worker,
    visit: &Visit,
    request: &Request,
    handoff: &Handoff,
    (exchange, local): (&mut E, &mut Local),
) -> Result<(), End> {
    local.account.status = answer::handoff_status(handoff);
    let date = worker.date(visit.facts.unix_ms);
    let facts = facts(worker, visit, request, local, &date);
    let body = answer::handoff(exchange, &facts, handoff);
    send(visit, &body, exchange, local).await
}

/// Says that what was sent has arrived.
pub async fn told<E: Exchange>(
    worker: &Worker,
    visit: &Visit,
    request: &Request,
    (exchange, local): (&mut E, &mut Local),
) -> Result<(), End> {
    local.account.status = 200;
    let date = worker.date(visit.facts.unix_ms);
    let facts = facts(worker, visit, request, local, &date);
    answer::told(exchange, &facts);
    send(visit, &[], exchange, local).await
}

pub async fn refuse<E: Exchange>(
    worker: &Worker,
    visit: &Visit,
    request: &Request,
    refusal: &Refusal,
    (exchange, local): (&mut E, &mut Local),
) -> Result<(), End> {
    if let Some(location) = local.account.leads_to.take() {
        let elsewhere = Handoff { location: location.into(), ..Handoff::default() };
        return handoff(worker, visit, request, &elsewhere, (exchange, local)).await;
    }
    let date = worker.date(visit.facts.unix_ms);
    let facts = facts(worker, visit, request, local, &date);
    let snapshot = &visit.snapshot;
    let service = local.account.service().and_then(|service| snapshot.service_entries.get(service as usize));
    let tier = local.account.limit.and_then(|state| snapshot.tier_entries.get(state.tier as usize));
    let told = Told {
        pages: pages(visit, local),
        service: service.map(|service| &*service.named.name),
        tier: tier.map(|tier| &*tier.counted.named.name),
        realm: realm(snapshot, refusal),
    };
    let body = refuse::refuse(exchange, &facts, refusal, told);
    send(visit, &body, exchange, local).await
}

/// Where the identity that was tried has passwords.
fn realm<'s>(snapshot: &'s Snapshot, refusal: &Refusal) -> Option<&'s str> {
    let Refusal::Unauthenticated { identity: Some(identity), .. } = refusal else { return None };
    snapshot.identity_entries.get(*identity as usize)?.realm.as_deref()
}

/// Answers in place of a service that failed.
pub async fn replace<E: Exchange>(
    worker: &Worker,
    visit: &Visit,
    request: &Request,
    failure: Failure,
    (exchange, local): (&mut E, &mut Local),
) -> Result<(), End> {
    let date = worker.date(visit.facts.unix_ms);
    let facts = facts(worker, visit, request, local, &date);
    let body = refuse::replace(exchange, &facts, failure, pages(visit, local));
    send(visit, &body, exchange, local).await
}

fn pages<'v>(visit: &'v Visit, local: &Local) -> &'v Pages {
    let snapshot = &visit.snapshot;
    local.account.route(snapshot).map_or(&snapshot.error_pages, |route| &route.error_pages)
}

/// To the same path with a slash behind it, where an index may be.
pub fn to_directory() -> Fixed {
    Fixed::redirect(308, Location::directory())
}

/// Hands the body and everything before it to the client.
pub async fn send<E: Exchange>(
    visit: &Visit,
    body: &[u8],
    exchange: &mut E,
    local: &mut Local,
) -> Result<(), End> {
    send_piece(visit, body, exchange, local).await?;
    exchange.end(None);
    flush(visit, exchange, &mut local.timer).await
}

/// Hands a piece of a body to the client, who has the listener's patience to take it.
pub async fn send_piece<E: Exchange>(
    visit: &Visit,
    piece: &[u8],
    exchange: &mut E,
    local: &mut Local,
) -> Result<(), End> {
    let mut rest = piece;
    let timer = &mut local.timer;
    let mut has_moved = true;
    poll_fn(|context| {
        while !rest.is_empty() {
            match exchange.poll_send(context, rest) {
                Poll::Ready(Ok(count)) => rest = rest.get(count..).unwrap_or_default(),
                Poll::Ready(Err(_)) => return Poll::Ready(Err(End::ClientGone)),
                Poll::Pending => {
                    if std::mem::take(&mut has_moved) {
                        timer.set(Instant::now() + visit.listener.write_timeout);
                    }
                    return timer.poll(context).map(|()| Err(End::ClientStalled));
                }
            }
            has_moved = true;
        }
        Poll::Ready(Ok(()))
    })
    .await
}

/// Waits until the client has taken everything.
pub async fn flush<E: Exchange>(visit: &Visit, exchange: &mut E, timer: &mut Timer) -> Result<(), End> {
    let mut is_first = true;
    poll_fn(|context| match exchange.poll_flush(context) {
        Poll::Ready(Ok(())) => Poll::Ready(Ok(())),
        Poll::Ready(Err(_)) => Poll::Ready(Err(End::ClientGone)),
        Poll::Pending => {
            if std::mem::take(&mut is_first) {
                timer.set(Instant::now() + visit.listener.write_timeout);
            }
            timer.poll(context).map(|()| Err(End::ClientStalled))
        }
    })
    .await
}
