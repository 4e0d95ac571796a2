//! How many connections each worker has, and how one that has too many hands new ones to another.
//!
//! The kernel deals connections out by a hash of their addresses, without asking who has how many. That evens out for
//! short connections and does not for long ones.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::io::socket::Detached;
use crate::listener::ticket::Ticket;

/// A worker may have this many connections more than the average before it hands new ones over.
const SLACK: u32 = 4;

/// A connection on its way to the worker that will serve it. It is counted already, so `max_connections` bounds how
/// many of them there are.
pub struct Newcomer {
    pub ticket: Ticket,
    pub stream: Detached,
    pub peer: IpAddr,
}

/// All workers of a node.
#[derive(Debug)]
pub struct Crowd {
    places: Box<[Place]>,
}

#[derive(Debug)]
struct Place {
    open: AtomicU32,
    newcomers: UnboundedSender<Newcomer>,
    /// Until the worker takes it. What comes before waits in it.
    receiver: Mutex<Option<UnboundedReceiver<Newcomer>>>,
}

impl Place {
    fn new() -> Self {
        let (newcomers, receiver) = unbounded_channel();
        Self { open: AtomicU32::default(), newcomers, receiver: Mutex::new(Some(receiver)) }
    }
}

impl Crowd {
    pub fn new(workers: usize) -> Self {
        Self { places: (0..workers).map(|_| Place::new()).collect() }
    }

    /// What others hand to this worker. Each worker asks once, when it starts.
    pub fn receive(&self, worker: usize) -> UnboundedReceiver<Newcomer> {
        let place = self.places.get(worker);
        let taken =
            place.and_then(|place| place.receiver.lock().unwrap_or_else(PoisonError::into_inner).take());
        // A second one gets nothing, which harms nobody.
        taken.unwrap_or_else(|| unbounded_channel().1)
    }

    /// Connections of each worker.
    pub fn open(&self) -> impl Iterator<Item = u32> {
        self.places.iter().map(|place| place.open.load(Ordering::Relaxed))
    }

    /// Who is to serve a connection that this worker has accepted: itself, unless it has clearly more than its share
    /// of `all`. Two numbers are read as long as it has not.
    pub fn choose(&self, worker: usize, all: u32) -> usize {
        let mine = self.places.get(worker).map_or(0, |place| place.open.load(Ordering::Relaxed));
        let share = all / (self.places.len() as u32).max(1);
        if mine < share.saturating_add(SLACK) {
            return worker;
        }
        let least = self.open().enumerate().min_by_key(|(_, open)| *open);
        least.filter(|(_, open)| *open < mine).map_or(worker, |(index, _)| index)
    }

    /// Gives the newcomer to its worker. Where that has ended, the connection ends with it.
    pub fn hand(&self, worker: usize, newcomer: Newcomer) {
        if let Some(place) = self.places.get(worker) {
            let _ = place.newcomers.send(newcomer);
        }
    }

    pub(super) fn enter(&self, worker: usize) {
        if let Some(place) = self.places.get(worker) {
            place.open.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn leave(&self, worker: usize) {
        if let Some(place) = self.places.get(worker) {
            place.open.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Connections that stay, accepted by `accepts`; gives how many each worker has in the end.
    fn settle(workers: usize, count: u32, accepts: impl Fn(u32) -> usize) -> Vec<u32> {
        let crowd = Crowd::new(workers);
        for all in 0..count {
            crowd.enter(crowd.choose(accepts(all), all));
        }
        crowd.open().collect()
    }

    #[test]
    fn no_worker_has_more_than_the_slack_above_its_share_whoever_accepts() {
        assert_eq!(settle(4, 1_000, |_| 0), [253, 249, 249, 249]);
        let open = settle(2, 500, |connection| usize::from(connection % 3 == 0));
        assert!(open.iter().all(|open| *open <= 250 + SLACK), "{open:?}");
        let open = settle(3, 10_000, |connection| usize::from(connection % 7 == 0));
        assert!(open.iter().all(|open| *open <= 3_333 + SLACK + 1), "{open:?}");
    }

    #[test]
    fn a_few_connections_stay_where_they_were_accepted() {
        assert_eq!(settle(4, SLACK, |_| 2), [0, 0, SLACK, 0]);
        assert_eq!(settle(1, 100, |_| 0), [100]);
    }

    #[test]
    fn who_has_least_takes_what_is_handed_over() {
        let crowd = Crowd::new(3);
        for (worker, count) in [(0, 9), (1, 2), (2, 1)] {
            (0..count).for_each(|_| crowd.enter(worker));
        }
        assert_eq!([crowd.choose(0, 12), crowd.choose(1, 12), crowd.choose(2, 12)], [2, 1, 2]);
        (0..8).for_each(|_| crowd.leave(0));
        assert_eq!(crowd.choose(0, 4), 0);
    }
}
