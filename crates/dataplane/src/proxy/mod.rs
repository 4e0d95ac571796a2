//! Proxy: carry the request to an instance and its answer back.
//! Takes a target. Gives the response, streamed. Refuses with `BadGateway`, `UpstreamTimeout`, `ServiceUnavailable`.
//!
//! Nothing is sent twice unless the route says so, with two exceptions. When a connection out of the pool turns out to
//! have been closed before a byte came back, a request that is idempotent and still whole in memory goes out once more
//! (requirement UP-3, D32); to another instance where this one breaks the new connection, too, or takes none. So does any request of which a
//! service that speaks HTTP/2 says that it has not processed it.

pub mod attempt;
mod delays;
mod fault;
mod gathering;
pub mod grpc;
pub mod head;
mod http1;
pub mod http2;
pub mod leg;
mod opening;
mod pace;
mod patience;
pub mod pool;
pub mod queue;
mod repeating;
mod replay;
pub mod retry;
pub mod trace;
pub mod upstream;
pub mod withheld;
mod writing;

pub use delays::Delays;
pub use gathering::gather;
use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use crate::balance::Instance;
use crate::exchange::{BodyFault, Exchange, Piece};
use crate::io::buffer::{Buffers, SMALL};
use crate::io::dial::Destination;
use crate::refusal::{Refusal, Unavailable};
use crate::request::Framing;
use crate::tls::ServiceTls;
use attempt::{Attempt, Fault, Means, Patience};
use head::OutgoingHead;
use leg::Leg;
use pool::{PoolSettings, Pools};
use queue::{Queue, Queued};

/// What a worker keeps for all its exchanges with services.
#[derive(Debug, Default)]
pub struct Links {
    pub buffers: RefCell<Buffers>,
    pub pools: RefCell<Pools>,
    /// Those of services that speak HTTP/2.
    pub streams: RefCell<http2::pool::Pools>,
}

impl Links {
    /// Called every second.
    pub fn sweep(&self, now: Instant) {
        self.pools.borrow_mut().sweep(now);
        self.streams.borrow_mut().sweep(now);
    }
}

/// What a service speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    #[default]
    Http1,
    Http2(http2::Settings),
}

/// Where a request goes and how long it may take.
pub struct Forward<'a> {
    pub instance: &'a Arc<Instance>,
    pub tls: Option<&'a ServiceTls>,
    pub pool: &'a PoolSettings,
    /// Where requests wait for a connection, up to `pool.pending` of them.
    pub queue: &'a Queue,
    pub protocol: Protocol,
    /// Where the request is one of gRPC.
    pub call: Option<grpc::Call>,
    pub patience: Patience,
    pub now: Instant,
    /// What it has waited for so far.
    pub delays: Cell<Delays>,
}

impl Forward<'_> {
    fn destination(&self) -> Destination<'_> {
        Destination { address: &self.instance.address, name: &self.instance.name, tls: self.tls }
    }

    /// A place among those who wait for a connection. Held until there is one.
    fn line_up(&self) -> Result<Queued<'_>, Fault> {
        self.queue.enter(self.pool.pending).map_err(exhausted)
    }

    /// It waits in the queue from now on until this is dropped.
    fn queueing(&self) -> Delayed<'_> {
        Delayed { delays: &self.delays, since: Instant::now(), add: Delays::queued_since }
    }

    /// It waits for a new connection from now on until this is dropped.
    fn connecting(&self) -> Delayed<'_> {
        Delayed { delays: &self.delays, since: Instant::now(), add: Delays::connecting_since }
    }

    /// What is left of the route's timeout for whatever comes before the request can be sent.
    fn left(&self) -> Duration {
        let until = self.patience.until(self.now, self.patience.service);
        until.saturating_duration_since(Instant::now())
    }
}

/// A wait that is under way; it is noted when this is dropped, also where nobody waits any more.
struct Delayed<'f> {
    delays: &'f Cell<Delays>,
    since: Instant,
    add: fn(Delays, Instant) -> Delays,
}

impl Drop for Delayed<'_> {
    fn drop(&mut self) {
        self.delays.set((self.add)(self.delays.get(), self.since));
    }
}

/// A response whose head is in; its body follows with `relay`.
pub struct Answered {
    pub attempt: Attempt,
    /// The request was sent a second time because the first connection was stale.
    pub resent: bool,
    /// A connection was opened for it.
    pub opened: bool,
}

/// Takes what there is of a small body, so that it leaves with the head. Once for all attempts.
pub async fn prepare<E: Exchange>(means: &mut Means<'_, E>) -> Result<(), Fault> {
    means.body.clear();
    let Framing::Length(length) = means.request.framing else { return Ok(()) };
    let in_hand = means.exchange.body_in_hand();
    if length > SMALL as u64 || (in_hand as u64) < length {
        return Ok(());
    }
    let Means { exchange, body, .. } = means;
    while (body.len() as u64) < length {
        let taken = poll_fn(|context| exchange.poll_body(context).map(|piece| copy(piece, body))).await?;
        exchange.consume_body(taken);
    }
    Ok(())
}

fn copy(piece: Result<Piece<'_>, BodyFault>, body: &mut Vec<u8>) -> Result<usize, Fault> {
    match piece.map_err(Fault::of_body)? {
        Piece::Data(data) => {
            body.extend_from_slice(data);
            Ok(data.len())
        }
        Piece::End => Ok(0),
    }
}

/// Sends the request and waits for the head of the response. May be called again for another attempt.
pub async fn send<E: Exchange>(
    forward: &Forward<'_>,
    head: &OutgoingHead<'_>,
    links: &Links,
    means: &mut Means<'_, E>,
) -> Result<Answered, Fault> {
    means.timer.set(forward.patience.until(forward.now, forward.patience.service));
    let (leg, mut opened) = {
        let mut opening = pin!(opening::leg(forward, links, means.outgoing));
        poll_fn(|context| poll_leg(opening.as_mut(), means.exchange, context)).await?
    };
    let mut attempt = Attempt::new(forward, head, leg, means);
    let mut resent = false;
    let mut result = poll_fn(|context| attempt.poll_head(context, means)).await;
    if let Err(fault) = &result
        && repeating::may_be_repeated(fault, forward.instance, means)
    {
        resent = true;
        let place = attempt.take_place();
        // The deadline stays that of the first connection: the route's timeout is for both together.
        let (leg, is_new) = {
            let mut opening = pin!(opening::another(forward, links, place, means.outgoing));
            poll_fn(|context| poll_leg(opening.as_mut(), means.exchange, context)).await?
        };
        opened |= is_new;
        attempt = Attempt::new(forward, head, leg, means);
        result = poll_fn(|context| attempt.poll_head(context, means)).await;
    }
    match result {
        Ok(()) => Ok(Answered { attempt, resent, opened }),
        Err(fault) => Err(repeating::judged(fault, &attempt, forward.instance, means).settled()),
    }
}

/// A leg, for as long as the client waits for it.
fn poll_leg<E: Exchange>(
    opening: Pin<&mut impl Future<Output = Result<(Leg, bool), Fault>>>,
    exchange: &mut E,
    context: &mut Context<'_>,
) -> Poll<Result<(Leg, bool), Fault>> {
    let opened = opening.poll(context);
    if opened.is_pending() && exchange.poll_gone(context).is_ready() {
        return Poll::Ready(Err(Fault::ClientGone));
    }
    opened
}

/// Passes the body on; `Attempt::finish` follows. True: the service said of a gRPC call that it failed.
pub async fn relay<E: Exchange>(
    forward: &Forward<'_>,
    links: &Links,
    attempt: &mut Attempt,
    means: &mut Means<'_, E>,
) -> Result<bool, Fault> {
    let relayed =
        poll_fn(|context| attempt.poll_relay(context, means, &mut links.buffers.borrow_mut())).await;
    relayed.map_err(Fault::settled)?;
    Ok(forward.call.is_some_and(|call| call.has_failed(attempt.grpc_status(means.response))))
}

pub(crate) fn exhausted(cause: Unavailable) -> Fault {
    Fault::Refused(Refusal::ServiceUnavailable { cause, retry_after: Duration::from_secs(1) })
}

#[cfg(test)]
mod tests;
