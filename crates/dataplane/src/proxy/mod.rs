//! Proxy: carry the request to an instance and its answer back.
//! Takes a target. Gives the response, streamed. Refuses with `BadGateway`, `UpstreamTimeout`, `ServiceUnavailable`.
//!
//! Nothing is sent twice, with one exception: when a connection out of the pool turns out to have been closed before
//! a byte came back, a request that is idempotent and still whole in memory goes out once more (requirement UP-3, D32).

pub mod attempt;
pub mod head;
pub mod pool;
pub mod trace;
pub mod upstream;

use std::cell::RefCell;
use std::future::poll_fn;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::balance::Instance;
use crate::exchange::{BodyFault, Exchange, Piece};
use crate::io::buffer::{Buffers, SMALL};
use crate::refusal::{Refusal, Unavailable, UpstreamFault};
use crate::request::{Framing, Request};
use attempt::{Attempt, Fault, Means, Patience};
use head::OutgoingHead;
use pool::{Place, PoolSettings, Pools};
use upstream::Upstream;

/// What a worker keeps for all its exchanges with services.
#[derive(Debug, Default)]
pub struct Links {
    pub buffers: RefCell<Buffers>,
    pub pools: RefCell<Pools>,
}

/// Where a request goes and how long it may take.
pub struct Forward<'a> {
    pub request: &'a Request,
    pub instance: &'a Arc<Instance>,
    pub pool: PoolSettings,
    pub patience: Patience,
    pub now: Instant,
}

impl Forward<'_> {
    /// What is left of the route's timeout for whatever comes before the request can be sent.
    fn left(&self) -> Duration {
        (self.now + self.patience.service).saturating_duration_since(Instant::now())
    }
}

/// A response whose head is in; its body follows with `relay`.
pub struct Answered<'a, 'm, E> {
    pub attempt: Attempt<'a, 'm, E>,
    /// The request was sent a second time because the first connection was stale.
    pub resent: bool,
    /// The connection came out of the pool.
    pub reused: bool,
}

impl<E> Answered<'_, '_, E> {
    /// Requests sent: 1, or 2 after a stale connection.
    pub fn attempts(&self) -> u32 {
        1 + u32::from(self.resent)
    }
}

/// Sends the request and waits for the head of the response.
pub async fn send<'a, 'm, E: Exchange>(
    forward: &Forward<'a>,
    head: &OutgoingHead<'_>,
    links: &Links,
    means: &'a mut Means<'m, E>,
) -> Result<Answered<'a, 'm, E>, Fault> {
    means.outgoing.clear();
    head.write(means.outgoing);
    take_body_in_hand(forward.request, means).await?;
    means.timer.set(forward.now + forward.patience.service);
    let upstream = connection(forward, links).await?;
    let reused = upstream.reused;
    let can_resend = reused && means.exchange.body_is_complete() && forward.request.method.is_idempotent();
    let mut attempt = Attempt::new(means, forward.request, upstream, forward.patience);
    let mut resent = false;
    let result = match poll_fn(|context| attempt.poll_head(context)).await {
        Err(Fault::Stale) if can_resend => {
            resent = true;
            let place = attempt.upstream.place.take();
            attempt.restart(connect(forward, links, place).await?);
            poll_fn(|context| attempt.poll_head(context)).await
        }
        result => result,
    };
    match result {
        Ok(()) => Ok(Answered { attempt, resent, reused }),
        Err(Fault::Stale) => Err(Fault::Upstream(UpstreamFault::ConnectionReset)),
        Err(fault) => Err(fault),
    }
}

/// Passes the body on, hands the end to the client, and keeps the connection where both sides ended cleanly.
pub async fn relay<E: Exchange>(
    forward: &Forward<'_>,
    links: &Links,
    mut attempt: Attempt<'_, '_, E>,
) -> Result<(), Fault> {
    poll_fn(|context| attempt.poll_relay(context, &mut links.buffers.borrow_mut())).await?;
    let reusable = attempt.finish();
    let Attempt { mut upstream, .. } = attempt;
    links.buffers.borrow_mut().give_back(std::mem::take(&mut upstream.input));
    if reusable {
        links.pools.borrow_mut().put(forward.instance, upstream, forward.now);
    }
    Ok(())
}

/// A small body that arrived with its head leaves with its head.
async fn take_body_in_hand<E: Exchange>(request: &Request, means: &mut Means<'_, E>) -> Result<(), Fault> {
    let Framing::Length(length) = request.framing else { return Ok(()) };
    let in_hand = means.exchange.body_in_hand();
    if length > SMALL as u64 || (in_hand as u64) < length {
        return Ok(());
    }
    let Means { exchange, outgoing, .. } = means;
    while !exchange.body_is_complete() {
        let taken = poll_fn(|context| exchange.poll_body(context).map(|piece| copy(piece, outgoing))).await?;
        exchange.consume_body(taken);
    }
    Ok(())
}

fn copy(piece: Result<Piece<'_>, BodyFault>, outgoing: &mut Vec<u8>) -> Result<usize, Fault> {
    match piece {
        Ok(Piece::Data(data)) => {
            outgoing.extend_from_slice(data);
            Ok(data.len())
        }
        Ok(Piece::End) => Ok(0),
        Err(BodyFault::Gone) => Err(Fault::ClientGone),
        Err(BodyFault::Refused(refusal)) => Err(Fault::Refused(refusal)),
    }
}

/// An idle connection, or a new one, within the pool's bounds.
async fn connection(forward: &Forward<'_>, links: &Links) -> Result<Upstream, Fault> {
    let place = links.pools.borrow_mut().place(forward.instance, forward.pool);
    let permit = match place.map_err(exhausted)? {
        Place::Free(permit) => permit,
        Place::Wait(places) => {
            let _queued = Queued { links, instance: forward.instance };
            let wait = tokio::time::timeout(forward.left(), places.acquire_owned()).await;
            wait.ok().and_then(Result::ok).ok_or_else(|| exhausted(Unavailable::PoolExhausted))?
        }
    };
    let idle = links.pools.borrow_mut().take(forward.instance, forward.now);
    match idle {
        Some(mut upstream) => {
            upstream.place = Some(permit);
            upstream.input = links.buffers.borrow_mut().small();
            Ok(upstream)
        }
        None => connect(forward, links, Some(permit)).await,
    }
}

async fn connect(
    forward: &Forward<'_>,
    links: &Links,
    place: Option<tokio::sync::OwnedSemaphorePermit>,
) -> Result<Upstream, Fault> {
    let timeout = forward.pool.connect_timeout.min(forward.left());
    let connected = Upstream::connect(forward.instance.address, timeout, forward.now).await;
    let mut upstream = connected?;
    upstream.place = place;
    upstream.input = links.buffers.borrow_mut().small();
    Ok(upstream)
}

fn exhausted(cause: Unavailable) -> Fault {
    Fault::Refused(Refusal::ServiceUnavailable { cause, retry_after: Duration::from_secs(1) })
}

/// Leaves the queue however the wait ends, a client that hangs up included.
struct Queued<'a> {
    links: &'a Links,
    instance: &'a Arc<Instance>,
}

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        self.links.pools.borrow_mut().waited(self.instance);
    }
}

#[cfg(test)]
mod tests;
