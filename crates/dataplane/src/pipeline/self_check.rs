//! The one request that leaves no trace: the node asks itself. It comes in as any other, by a listener, through intake, with the snapshot
//! of its first byte, and goes out as any other; what would decide about a client's is left out, so that no configuration can refuse it.

use std::future::{Future, poll_fn};
use std::task::Poll;
use std::time::{Duration, Instant};

use crate::exchange::Exchange;
use crate::pipeline::account::Visit;
use crate::pipeline::end::End;
use crate::pipeline::{Local, delivery};
use crate::request::Request;
use crate::respond::answer::Fixed;
use crate::worker::Worker;

/// Whoever asks has given up by then.
const PATIENCE: Duration = Duration::from_secs(5);

/// Answers once every worker has had a turn. False: the client's connection is to be cut.
pub async fn answer<E: Exchange>(
    worker: &Worker,
    visit: &Visit,
    request: &Request,
    (exchange, local): (&mut E, &mut Local),
) -> bool {
    // Before all else: what is dropped on the way is recorded where this was not said.
    local.account.unaccounted();
    if wait_for_all(worker, (&mut *exchange, &mut *local)).await.is_err() {
        return false;
    }
    delivery::fixed(worker, visit, request, &Fixed::nothing(), (exchange, local)).await.is_ok()
}

async fn wait_for_all<E: Exchange>(
    worker: &Worker,
    (exchange, local): (&mut E, &mut Local),
) -> Result<(), End> {
    let mut call = Box::pin(worker.node.self_check.call());
    let timer = &mut local.timer;
    timer.set(Instant::now() + PATIENCE);
    poll_fn(|context| {
        if call.as_mut().poll(context).is_ready() {
            return Poll::Ready(Ok(()));
        }
        if exchange.body_is_complete() && exchange.poll_gone(context).is_ready() {
            return Poll::Ready(Err(End::ClientGone));
        }
        timer.poll(context).map(|()| Err(End::Stopped))
    })
    .await
}
