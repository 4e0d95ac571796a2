//! Several calls under way at once.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;

/// All answers in the order of the calls, or the first failure.
pub(super) async fn all<T, E, F: Future<Output = Result<T, E>>>(
    calls: impl IntoIterator<Item = F>,
) -> Result<Vec<T>, E> {
    let mut calls: Vec<(Pin<Box<F>>, Option<T>)> =
        calls.into_iter().map(|call| (Box::pin(call), None)).collect();
    poll_fn(|context| {
        let mut is_waiting = false;
        for (call, answer) in calls.iter_mut().filter(|(_, answer)| answer.is_none()) {
            match call.as_mut().poll(context) {
                Poll::Ready(Ok(found)) => *answer = Some(found),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => is_waiting = true,
            }
        }
        if is_waiting { Poll::Pending } else { Poll::Ready(Ok(())) }
    })
    .await?;
    Ok(calls.into_iter().filter_map(|(_, answer)| answer).collect())
}
