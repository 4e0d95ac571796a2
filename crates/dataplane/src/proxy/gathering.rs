//! Taking a whole body before any of it goes out, for who has to see all of it first.

use std::future::poll_fn;
use std::task::Poll;
use std::time::{Duration, Instant};

use crate::exchange::Exchange;
use crate::proxy::attempt::{Fault, Means, Patience, Store};
use crate::proxy::copy;
use crate::proxy::pace::Pace;
use crate::proxy::patience::Waiting;
use crate::refusal::{Reason, Refusal, Shortage};
use crate::request::Framing;

/// For a client whose body the node has no room for.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Takes the body into `means.body`, as `prepare` does with a small one: it leaves with the head. What stands behind it in
/// trailers is left out. Refuses what is longer than the room of the store, and what the node has no room for.
pub async fn gather<E: Exchange>(
    means: &mut Means<'_, E>,
    patience: &Patience,
    store: &mut Store<'_>,
) -> Result<(), Fault> {
    means.body.clear();
    let limit = store.room as u64;
    if let Framing::Length(length) = means.request.framing
        && length > limit
    {
        return Err(Fault::Refused(Refusal::BodyTooLarge { limit }));
    }
    let mut pace = Pace::default();
    while !means.exchange.body_is_complete() {
        let taken = piece(means, patience, &mut pace).await?;
        if taken == 0 {
            break;
        }
        if means.body.len() as u64 > limit {
            return Err(Fault::Refused(Refusal::BodyTooLarge { limit }));
        }
        if !store.hold(taken) {
            return Err(Fault::Refused(full(store)));
        }
    }
    Ok(())
}

/// The next piece, within the time that the client has for it; 0 at the end.
async fn piece<E: Exchange>(
    means: &mut Means<'_, E>,
    patience: &Patience,
    pace: &mut Pace,
) -> Result<usize, Fault> {
    let now = Instant::now();
    let wait = match patience.body_rate {
        0 => patience.client_body,
        rate => pace.wait(now, patience.client_body, rate),
    };
    let Means { exchange, body, timer, .. } = means;
    timer.set(patience.until(now, wait));
    let taken = poll_fn(|context| {
        if let Poll::Ready(piece) = exchange.poll_body(context) {
            return Poll::Ready(copy(piece, body));
        }
        timer.poll(context).map(|()| Err(patience.fault(Waiting::ClientBody)))
    })
    .await?;
    exchange.consume_body(taken);
    pace.came(taken, Instant::now());
    Ok(taken)
}

fn full(store: &Store<'_>) -> Refusal {
    let mebibytes = |bytes: usize| u32::try_from(bytes >> 20).unwrap_or(u32::MAX);
    let most = mebibytes(store.node_room);
    let shortage = Shortage {
        reason: Reason::Memory,
        value: mebibytes(store.node.bytes()),
        threshold: most,
        resumes: most,
    };
    Refusal::Overloaded { shortage, retry_after: RETRY_AFTER }
}
