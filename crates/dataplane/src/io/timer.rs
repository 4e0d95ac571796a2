//! One timer a connection. Deadlines move with every request; the runtime's timer is touched only when a deadline
//! comes earlier than the one it is set to, or when it fires too early, so a busy connection pays nothing.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use tokio::task::coop;
use tokio::time::Sleep;

/// Fires once at the deadline that was set last. Must be polled from one task at a time; see `moved`.
#[derive(Debug)]
pub struct Timer {
    sleep: Pin<Box<Sleep>>,
    armed: Instant,
    deadline: Instant,
    /// The runtime does not know yet whom to wake.
    unregistered: bool,
}

impl Timer {
    pub fn new(deadline: Instant) -> Self {
        let sleep = Box::pin(tokio::time::sleep_until(deadline.into()));
        Self { sleep, armed: deadline, deadline, unregistered: true }
    }

    pub fn set(&mut self, deadline: Instant) {
        self.deadline = deadline;
        if deadline < self.armed {
            self.arm(deadline);
        }
    }

    /// Another task polls it from now on.
    pub fn moved(&mut self) {
        self.unregistered = true;
    }

    fn arm(&mut self, deadline: Instant) {
        self.sleep.as_mut().reset(deadline.into());
        self.armed = deadline;
        self.unregistered = true;
    }

    /// Ready when the deadline has passed. Cheap while it has not.
    pub fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        while self.unregistered || self.sleep.is_elapsed() {
            // A task that has used up its budget is told to come back at once, and the timer has not heard of it.
            let is_heard = coop::has_budget_remaining();
            if self.sleep.as_mut().poll(context).is_pending() {
                self.unregistered = !is_heard;
                return Poll::Pending;
            }
            if Instant::now() >= self.deadline {
                // Fires again at the next poll until a later deadline is set.
                self.unregistered = true;
                return Poll::Ready(());
            }
            self.arm(self.deadline);
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::time::Duration;

    use super::*;

    fn run(test: impl Future<Output = ()>) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(test);
    }

    #[test]
    fn a_later_deadline_is_kept_although_the_runtime_fires_earlier() {
        run(async {
            let begin = Instant::now();
            let mut timer = Timer::new(begin + Duration::from_millis(5));
            timer.set(begin + Duration::from_millis(40));
            poll_fn(|context| timer.poll(context)).await;
            assert!(begin.elapsed() >= Duration::from_millis(40));
        });
    }

    #[test]
    fn an_earlier_deadline_fires_early() {
        run(async {
            let begin = Instant::now();
            let mut timer = Timer::new(begin + Duration::from_secs(60));
            timer.set(begin + Duration::from_millis(5));
            poll_fn(|context| timer.poll(context)).await;
            assert!(begin.elapsed() < Duration::from_secs(30));
        });
    }

    #[test]
    fn a_timer_fires_though_its_task_had_no_budget_left_when_it_was_set() {
        run(async {
            let begin = Instant::now();
            let mut timer = Timer::new(begin + Duration::from_millis(5));
            let mut was_starved = false;
            let fired = poll_fn(|context| {
                while !was_starved && coop::has_budget_remaining() {
                    let mut step = std::pin::pin!(coop::consume_budget());
                    assert!(step.as_mut().poll(context).is_ready());
                }
                was_starved = true;
                timer.poll(context)
            });
            // The outer wait is a timer of its own, so it wakes the task too: late, and therefore seen.
            let limit = tokio::time::timeout(Duration::from_secs(5), fired);
            assert!(limit.await.is_ok());
            assert!(begin.elapsed() < Duration::from_secs(4));
        });
    }

    #[test]
    fn a_timer_that_fired_can_be_set_again() {
        run(async {
            let begin = Instant::now();
            let mut timer = Timer::new(begin);
            poll_fn(|context| timer.poll(context)).await;
            timer.set(begin + Duration::from_millis(20));
            poll_fn(|context| timer.poll(context)).await;
            assert!(begin.elapsed() >= Duration::from_millis(20));
        });
    }
}
