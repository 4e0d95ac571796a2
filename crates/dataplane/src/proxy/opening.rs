//! Where legs come from: an idle connection, a new one, or a stream on one that others use too.

use tokio::sync::OwnedSemaphorePermit;

use crate::io::dial::DialFault;
use crate::proxy::fault::Fault;
use crate::proxy::http1::Http1;
use crate::proxy::http2::{self, Http2};
use crate::proxy::leg::Leg;
use crate::proxy::pool::Place;
use crate::proxy::upstream::Upstream;
use crate::proxy::{Forward, Links, Protocol, exhausted};
use crate::refusal::Unavailable;

/// A leg to the instance, and whether a connection was opened for it. `outgoing` is memory for what is written.
pub async fn leg(forward: &Forward<'_>, links: &Links, outgoing: &mut Vec<u8>) -> Result<(Leg, bool), Fault> {
    match forward.protocol {
        Protocol::Http1 => {
            let upstream = connection(forward, links).await?;
            let is_new = !upstream.reused;
            Ok((http1(forward, upstream, outgoing), is_new))
        }
        Protocol::Http2(settings) => {
            let (slot, is_new) = http2::pool::claim(forward, settings, links).await?;
            Ok((Leg::Http2(Box::new(Http2::new(slot, forward.pool.head_bytes))), is_new))
        }
    }
}

/// A leg in place of one that proved stale; `place` is what that one held of its pool.
pub async fn another(
    forward: &Forward<'_>,
    links: &Links,
    place: Option<OwnedSemaphorePermit>,
    outgoing: &mut Vec<u8>,
) -> Result<(Leg, bool), Fault> {
    match forward.protocol {
        Protocol::Http1 => Ok((http1(forward, connect(forward, links, place).await?, outgoing), true)),
        Protocol::Http2(_) => leg(forward, links, outgoing).await,
    }
}

fn http1(forward: &Forward<'_>, upstream: Box<Upstream>, outgoing: &mut Vec<u8>) -> Leg {
    Leg::Http1(Http1::new(upstream, std::mem::take(outgoing), forward.pool.head_bytes))
}

/// An idle connection, or a new one, within the pool's bounds.
async fn connection(forward: &Forward<'_>, links: &Links) -> Result<Box<Upstream>, Fault> {
    let place = links.pools.borrow_mut().place(forward.instance, forward.pool);
    let permit = match place {
        Place::Free(permit) => permit,
        Place::Wait(places) => {
            let _queued = forward.line_up()?;
            let _delayed = forward.queueing();
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
    place: Option<OwnedSemaphorePermit>,
) -> Result<Box<Upstream>, Fault> {
    let timeout = forward.pool.connect_timeout.min(forward.left());
    let delayed = forward.connecting();
    let connected = Upstream::connect(forward.destination(), timeout, forward.now).await;
    drop(delayed);
    let mut upstream = Box::new(connected.map_err(|fault| match fault {
        DialFault::NoDescriptor => exhausted(Unavailable::NoDescriptor),
        DialFault::Upstream(fault) => Fault::unreachable(forward.instance, fault),
    })?);
    upstream.place = place;
    upstream.input = links.buffers.borrow_mut().small();
    Ok(upstream)
}
