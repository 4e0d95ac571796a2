//! When a request goes out a second time though no route asks for it (requirements UP-3, D32).

use std::time::Instant;

use crate::balance::Instance;
use crate::proxy::attempt::{Attempt, Fault, Means};
use crate::refusal::UpstreamFault;

/// The same request may go out once more after this fault, and can.
pub(super) fn may_be_repeated<E>(fault: &Fault, instance: &Instance, means: &Means<'_, E>) -> bool {
    if *fault == Fault::Stale {
        instance.doubt(Instant::now());
    }
    let is_safe = match fault {
        Fault::Stale => means.request.method.is_idempotent(),
        Fault::Unprocessed => true,
        Fault::Upstream(_)
        | Fault::Gone(_)
        | Fault::UpstreamTimeout
        | Fault::Deadline
        | Fault::ClientGone
        | Fault::ClientStalled
        | Fault::Refused(_) => false,
    };
    is_safe && means.replay.is_possible()
}

/// What the last fault means. A connection that was broken without a word says that the instance may be gone; where that was
/// thought before, another may be asked instead.
pub(super) fn judged<E>(fault: Fault, attempt: &Attempt, instance: &Instance, means: &Means<'_, E>) -> Fault {
    let is_reset = fault == Fault::Upstream(UpstreamFault::ConnectionReset);
    if !is_reset || !attempt.was_silent() || !instance.doubt(Instant::now()) {
        return fault;
    }
    let may_arrive_twice = means.request.method.is_idempotent() && means.replay.is_possible();
    if may_arrive_twice { Fault::Gone(UpstreamFault::ConnectionReset) } else { fault }
}
