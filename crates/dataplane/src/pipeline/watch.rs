//! Noting in the trail how long a request waited for what no stage has in hand.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use crate::exchange::Exchange;
use crate::micros::micros;
use crate::pipeline::end::End;
use crate::trail::{Cause, Trail};

/// What is there at once, but for whatever kept this thread from its processor, and took no longer was not waited for.
const LEAST: Duration = Duration::from_millis(1);

/// A wait that may be: it is one once something was not there at once, and only then the clock is looked at.
pub struct Watch<'t> {
    trail: &'t mut Trail,
    cause: Cause,
    /// When the request began.
    began: Instant,
    /// When the wait did; `None` before that, and once it is noted.
    since: Option<Instant>,
    is_waiting: bool,
}

impl<'t> Watch<'t> {
    pub fn new(trail: &'t mut Trail, began: Instant, cause: Cause) -> Self {
        Self { trail, cause, began, since: None, is_waiting: false }
    }

    /// For who has looked at the clock already.
    #[must_use]
    pub fn since(mut self, now: Instant) -> Self {
        self.since = Some(now);
        self
    }

    /// Waits; gives also for how long. Where nobody waits for the answer any more, the wait is noted all the same.
    pub async fn over<F>(mut self, mut answer: F) -> (F::Output, Duration)
    where
        F: Future + Unpin,
    {
        let output = poll_fn(|context| self.poll(&mut answer, context)).await;
        (output, self.end())
    }

    /// Waits for as long as the client does.
    pub async fn with<E, F>(mut self, exchange: &mut E, mut answer: F) -> Result<F::Output, End>
    where
        E: Exchange,
        F: Future + Unpin,
    {
        poll_fn(|context| {
            if let Poll::Ready(output) = self.poll(&mut answer, context) {
                return Poll::Ready(Ok(output));
            }
            exchange.poll_gone(context).map(|()| Err(End::ClientGone))
        })
        .await
    }

    fn poll<F>(&mut self, answer: &mut F, context: &mut Context<'_>) -> Poll<F::Output>
    where
        F: Future + Unpin,
    {
        let polled = Pin::new(answer).poll(context);
        if polled.is_pending() && !self.is_waiting {
            self.is_waiting = true;
            self.since.get_or_insert_with(Instant::now);
        }
        polled
    }

    fn end(&mut self) -> Duration {
        let Some(since) = self.since.take() else { return Duration::ZERO };
        let took = since.elapsed();
        if self.is_waiting || took >= LEAST {
            self.trail.waited(self.cause, micros(since.saturating_duration_since(self.began)), micros(took));
        }
        took
    }
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        self.end();
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::Waker;

    use super::*;
    use crate::trail::{Awaited, Rule, Stage};

    const CAUSE: Cause = Cause { stage: Stage::Limit, rule: Rule::None, awaited: Awaited::Redis };

    fn poll<T>(future: Pin<&mut impl Future<Output = T>>) -> Poll<T> {
        future.poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn what_is_there_at_once_is_no_wait() {
        let (mut trail, now) = (Trail::default(), Instant::now());
        let answered = poll(pin!(Watch::new(&mut trail, now, CAUSE).over(std::future::ready(7))));
        assert_eq!(answered, Poll::Ready((7, Duration::ZERO)));
        let later = Watch::new(&mut trail, now, CAUSE).since(now + Duration::from_secs(60));
        assert_eq!(poll(pin!(later.over(std::future::ready(7)))), Poll::Ready((7, Duration::ZERO)));
        assert!(trail.waits().is_empty());
    }

    #[test]
    fn what_was_there_at_once_after_a_while_was_waited_for() {
        let (mut trail, now) = (Trail::default(), Instant::now());
        let watch = Watch::new(&mut trail, now, CAUSE).since(now - LEAST);
        assert!(poll(pin!(watch.over(std::future::ready(7)))).is_ready());
        assert_eq!(trail.waits().len(), 1);
    }

    #[test]
    fn a_wait_is_told_from_its_beginning_to_its_end() {
        let (mut trail, now) = (Trail::default(), Instant::now());
        let (began, since) = (now - Duration::from_millis(7), now - Duration::from_millis(5));
        let mut polls = 0;
        let answer = poll_fn(|_| {
            polls += 1;
            if polls > 1 { Poll::Ready(polls) } else { Poll::Pending }
        });
        let took = {
            let mut waits = pin!(Watch::new(&mut trail, began, CAUSE).since(since).over(answer));
            assert_eq!(poll(waits.as_mut()), Poll::Pending);
            let Poll::Ready((2, took)) = poll(waits.as_mut()) else { panic!("it is answered") };
            took
        };
        let wait = trail.waits().first().unwrap();
        assert_eq!((wait.cause, wait.at), (CAUSE, 2_000));
        assert!(wait.took >= 5_000);
        assert_eq!(wait.took, micros(took));
        assert_eq!(trail.waits().len(), 1);
    }

    #[test]
    fn a_wait_that_is_given_up_is_told_as_well() {
        let (mut trail, now) = (Trail::default(), Instant::now());
        {
            let mut waits = pin!(Watch::new(&mut trail, now, CAUSE).over(std::future::pending::<()>()));
            assert_eq!(poll(waits.as_mut()), Poll::Pending);
        }
        assert_eq!(trail.waits().len(), 1);
    }
}
