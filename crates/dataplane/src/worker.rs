//! What one worker thread owns: its links, caches and recorder. Nothing in here is shared with another thread.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use hashbrown::HashMap;
use tokio::task::AbortHandle;

use crate::authenticate::TokenCache;
use crate::listener::accept::Door;
use crate::listener::http2::seat::Seats;
use crate::node::Node;
use crate::proxy::{Links, pool};
use crate::record::{Recorder, WorkerCounts};
use crate::respond::compress::Encoders;
use crate::respond::date::DateCache;
use crate::shared_store;

const ONE_MOMENT: Duration = Duration::from_millis(1);
const MOST_READINGS: usize = 10;

/// Wall time, told from the monotonic clock between two readings, so that a request reads one clock only.
#[derive(Clone, Copy, Debug)]
struct Calibration {
    instant: Instant,
    unix_ms: u64,
}

impl Calibration {
    fn now() -> Self {
        Self::at_one_moment(Self::read)
    }

    /// A thread can lose its processor between the two clocks: then they are read once more.
    fn at_one_moment(mut read: impl FnMut() -> (Self, Duration)) -> Self {
        let (mut found, mut took) = read();
        for _ in 1..MOST_READINGS {
            if took <= ONE_MOMENT {
                break;
            }
            (found, took) = read();
        }
        found
    }

    /// Both clocks, and how long it took.
    fn read() -> (Self, Duration) {
        let instant = Instant::now();
        let unix_ms =
            SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64);
        (Self { instant, unix_ms }, instant.elapsed())
    }
}

/// A connection as its worker sees it when the node drains.
#[derive(Debug)]
pub struct Open {
    pub is_idle: Rc<Cell<bool>>,
    pub leave: Rc<Leave>,
    pub door: Door,
    pub task: AbortHandle,
}

/// A wish that a connection end when its requests are done. It is heard while the connection waits for something.
#[derive(Debug, Default)]
pub struct Leave {
    is_asked: Rc<Cell<bool>>,
    is_last: Rc<Cell<bool>>,
    waker: RefCell<Option<Waker>>,
    branches: RefCell<Vec<Weak<Self>>>,
}

impl Leave {
    pub fn ask(&self) {
        self.is_asked.set(true);
        self.wake();
    }

    fn wake(&self) {
        let waker = self.waker.borrow_mut().take();
        if let Some(waker) = waker {
            waker.wake();
        }
        self.branches.borrow().iter().filter_map(Weak::upgrade).for_each(|branch| branch.wake());
    }

    /// The same wish, for one of several that share the connection and wait each for something of its own.
    pub fn branch(&self) -> Rc<Self> {
        let (is_asked, is_last) = (Rc::clone(&self.is_asked), Rc::clone(&self.is_last));
        let branch = Rc::new(Self { is_asked, is_last, ..Self::default() });
        let mut branches = self.branches.borrow_mut();
        branches.retain(|branch| branch.strong_count() > 0);
        branches.push(Rc::downgrade(&branch));
        branch
    }

    /// Asks those, too, who have no end of their own.
    pub fn insist(&self) {
        self.is_last.set(true);
        self.ask();
    }

    pub fn poll(&self, context: &mut Context<'_>) -> Poll<()> {
        self.poll_for(&self.is_asked, context)
    }

    /// Ready once it was insisted.
    pub fn poll_last(&self, context: &mut Context<'_>) -> Poll<()> {
        self.poll_for(&self.is_last, context)
    }

    fn poll_for(&self, wish: &Cell<bool>, context: &mut Context<'_>) -> Poll<()> {
        if wish.get() {
            return Poll::Ready(());
        }
        let mut waker = self.waker.borrow_mut();
        if !waker.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
            *waker = Some(context.waker().clone());
        }
        Poll::Pending
    }
}

pub struct Worker {
    pub index: usize,
    pub node: Arc<Node>,
    pub links: Links,
    pub tokens: RefCell<TokenCache>,
    pub shared: Rc<shared_store::Client>,
    pub recorder: RefCell<Recorder>,
    pub encoders: RefCell<Encoders>,
    pub connections: RefCell<HashMap<u64, Open>>,
    pub seats: Seats,
    date: RefCell<DateCache>,
    calibration: Cell<Calibration>,
    last_connection: Cell<u64>,
}

impl Worker {
    pub fn new(index: usize, node: Arc<Node>) -> Self {
        Self {
            index,
            links: Links::default(),
            // Workers start before there is a configuration; each request brings its own capacity.
            tokens: RefCell::new(TokenCache::new(0)),
            shared: Rc::new(shared_store::Client::new(index, Arc::clone(&node.shared))),
            recorder: RefCell::new(Recorder::new(Arc::clone(&node.records))),
            encoders: RefCell::default(),
            connections: RefCell::default(),
            seats: Seats::default(),
            date: RefCell::default(),
            calibration: Cell::new(Calibration::now()),
            last_connection: Cell::new(0),
            node,
        }
    }

    /// Tells how many connections to each service are idle and active. Called every second.
    pub fn count_connections(&self) {
        let Some(snapshot) = self.node.snapshot() else { return };
        let (pools, streams) = (self.links.pools.borrow(), self.links.streams.borrow());
        for (entry, service) in snapshot.service_entries.iter().zip(snapshot.services.iter()) {
            let mut counted = pool::Counts::default();
            for instance in &service.instances() {
                counted += pools.counts(instance);
                counted += streams.counts(instance);
            }
            let metrics = entry.metrics.worker(self.index);
            metrics.idle.set(counted.idle as u64);
            metrics.active.set(counted.active as u64);
            metrics.streams.set(counted.streams as u64);
        }
    }

    /// Another task serves this connection from here on.
    pub fn hand_over(&self, connection: u64, task: AbortHandle) {
        if let Some(open) = self.connections.borrow_mut().get_mut(&connection) {
            open.task = task;
        }
    }

    /// Has the connections of one listener leave, or all: `wish` is `Leave::ask` or `Leave::insist`.
    pub fn dismiss(&self, fits: impl Fn(&Door) -> bool, wish: impl Fn(&Leave)) {
        let connections = self.connections.borrow();
        connections.values().filter(|open| fits(&open.door)).for_each(|open| wish(&open.leave));
    }

    /// Called every second, so that a step of the wall clock is followed.
    pub fn calibrate(&self) {
        self.calibration.set(Calibration::now());
    }

    pub fn unix_ms(&self, now: Instant) -> u64 {
        let Calibration { instant, unix_ms } = self.calibration.get();
        unix_ms + now.saturating_duration_since(instant).as_millis() as u64
    }

    pub fn next_connection(&self) -> u64 {
        let id = self.last_connection.get() + 1;
        self.last_connection.set(id);
        id
    }

    /// The `Date` header's value.
    pub fn date(&self, unix_ms: u64) -> [u8; 29] {
        let mut date = [b' '; 29];
        for (place, byte) in date.iter_mut().zip(self.date.borrow_mut().at(unix_ms).bytes()) {
            *place = byte;
        }
        date
    }

    pub fn counts(&self) -> &WorkerCounts {
        self.node.metrics.node().worker(self.index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_that_were_read_at_two_moments_are_read_again() {
        let read = |milliseconds: &[u64]| {
            let mut readings = milliseconds.iter().zip(1..);
            let found = Calibration::at_one_moment(|| {
                let (took, unix_ms) = readings.next().expect("a reading");
                (Calibration { unix_ms, ..Calibration::now() }, Duration::from_millis(*took))
            });
            found.unix_ms
        };
        assert_eq!(read(&[0]), 1);
        assert_eq!(read(&[5, 2, 1]), 3);
        assert_eq!(read(&[9; MOST_READINGS]), MOST_READINGS as u64);
    }
}
