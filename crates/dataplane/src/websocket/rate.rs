//! How many messages may begin in a second: in one connection, and in all that a caller has.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

const SECOND: Duration = Duration::from_secs(1);

/// How many messages there were in a second.
#[derive(Debug, Default)]
pub struct Rate {
    began: Option<Instant>,
    count: u32,
}

/// What all connections of a caller count in, on all workers.
pub type SharedRate = Arc<Mutex<Rate>>;

/// What limits the messages of one direction of a connection. By default nothing does.
#[derive(Debug, Default)]
pub struct Rates {
    own: Option<(u32, Rate)>,
    caller: Option<(u32, SharedRate)>,
}

impl Rate {
    fn admits(&mut self, maximum: u32, now: Instant) -> bool {
        let is_new = self.began.is_none_or(|began| now.saturating_duration_since(began) >= SECOND);
        if is_new {
            (self.began, self.count) = (Some(now), 0);
        }
        self.count = self.count.saturating_add(1);
        self.count <= maximum
    }
}

impl Rates {
    /// So many of the connection, and so many of its caller.
    pub fn new(own: Option<u32>, caller: Option<(u32, SharedRate)>) -> Self {
        Self { own: own.map(|maximum| (maximum, Rate::default())), caller }
    }

    /// Counts a message. One that is too much for its connection costs the caller's others nothing.
    pub fn admit(&mut self, now: Instant) -> bool {
        if self.own.as_mut().is_some_and(|(maximum, rate)| !rate.admits(*maximum, now)) {
            return false;
        }
        let Some((maximum, shared)) = &self.caller else { return true };
        // No code under this lock can panic half-way.
        shared.lock().unwrap_or_else(PoisonError::into_inner).admits(*maximum, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_that_share_a_rate_use_it_up_together() {
        let (shared, now) = (SharedRate::default(), Instant::now());
        let [mut first, mut second] = [(); 2].map(|()| Rates::new(None, Some((3, Arc::clone(&shared)))));
        assert_eq!([first.admit(now), second.admit(now), first.admit(now)], [true; 3]);
        assert_eq!([second.admit(now), first.admit(now)], [false; 2]);
        let later = now + SECOND;
        assert_eq!([second.admit(later), first.admit(later), first.admit(later)], [true; 3]);
        assert!(!second.admit(later));
    }

    #[test]
    fn what_is_too_much_for_a_connection_is_not_counted_for_its_caller() {
        let (shared, now) = (SharedRate::default(), Instant::now());
        let [mut first, mut second] = [(); 2].map(|()| Rates::new(Some(2), Some((4, Arc::clone(&shared)))));
        assert_eq!([(); 4].map(|()| first.admit(now)), [true, true, false, false]);
        assert_eq!([(); 3].map(|()| second.admit(now)), [true, true, false]);
    }

    #[test]
    fn a_clock_that_another_worker_has_read_earlier_begins_no_second() {
        let (shared, now) = (SharedRate::default(), Instant::now());
        let mut rates = Rates::new(None, Some((1, shared)));
        assert!(rates.admit(now + SECOND));
        assert!(!rates.admit(now));
    }
}
