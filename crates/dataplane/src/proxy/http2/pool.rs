//! Streams of one worker to each instance: on connections that are shared, opened one after the other as they fill up.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use h2::SendStream;
use h2::client::ResponseFuture;
use hashbrown::HashMap;
use tokio::sync::Notify;

use super::Settings;
use super::connection::{self, Connection};
use crate::balance::Instance;
use crate::io::dial::DialFault;
use crate::proxy::fault::Fault;
use crate::proxy::pool::{Counts, PoolSettings};
use crate::proxy::upstream::Upstream;
use crate::proxy::{Forward, Links, exhausted};
use crate::refusal::{Unavailable, UpstreamFault};

/// The pools of one worker.
#[derive(Debug, Default)]
pub struct Pools {
    by_instance: HashMap<usize, Pool>,
}

#[derive(Debug)]
struct Pool {
    /// Keeps the address of the instance, which is the key of the map, from being used again.
    instance: Arc<Instance>,
    settings: PoolSettings,
    http2: Settings,
    state: Rc<State>,
}

/// What the connections, the streams and those that wait for one share.
#[derive(Debug, Default)]
struct State {
    /// Those that take new streams.
    open: RefCell<Vec<Rc<Connection>>>,
    /// All that have not ended, be they open or ending.
    alive: Cell<usize>,
    /// Somebody opens one; the others wait for it instead of opening their own.
    is_opening: Cell<bool>,
    streams: Cell<usize>,
    /// How the last attempt to open one failed, and how many did.
    failures: Cell<u64>,
    failure: Cell<Option<UpstreamFault>>,
    changed: Notify,
}

/// What a request that needs a stream is to do next.
enum Turn {
    Stream(Slot),
    Open(Opening),
    Wait(Waiting),
}

/// A place for a stream on a connection; free again when this is dropped.
#[derive(Debug)]
pub struct Slot {
    connection: Rc<Connection>,
    state: Rc<State>,
    was_reused: bool,
}

impl Slot {
    fn new(connection: &Rc<Connection>, state: &Rc<State>) -> Self {
        connection.streams.set(connection.streams.get() + 1);
        state.streams.set(state.streams.get() + 1);
        connection.touched.set(true);
        let was_reused = connection.was_used.replace(true);
        Self { connection: Rc::clone(connection), state: Rc::clone(state), was_reused }
    }

    pub fn was_reused(&self) -> bool {
        self.was_reused
    }

    pub fn is_secure(&self) -> bool {
        self.connection.is_secure
    }

    pub fn takes_extended_connect(&self) -> bool {
        self.connection.takes_extended_connect()
    }

    pub fn send_request(
        &self,
        request: http::Request<()>,
        is_whole: bool,
    ) -> Result<(ResponseFuture, SendStream<Bytes>), h2::Error> {
        self.connection.handle().send_request(request, is_whole)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.connection.streams.set(self.connection.streams.get().saturating_sub(1));
        self.state.streams.set(self.state.streams.get().saturating_sub(1));
        self.state.changed.notify_one();
    }
}

/// Held by whatever moves a connection, for as long as that lives.
#[derive(Debug)]
struct Alive(Rc<State>);

impl Alive {
    /// Something has changed for all who wait.
    fn tell(&self) {
        self.0.changed.notify_waiters();
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.alive.set(self.0.alive.get().saturating_sub(1));
        self.tell();
    }
}

/// The right to open a connection. Where that is given up, those who wait are woken to take their turn.
struct Opening(Rc<State>);

impl Drop for Opening {
    fn drop(&mut self) {
        self.0.is_opening.set(false);
        self.0.changed.notify_waiters();
    }
}

impl Opening {
    async fn open(&self, forward: &Forward<'_>, settings: Settings) -> Result<(), UpstreamFault> {
        let opened = self.greet(forward, settings).await;
        if let Err(fault) = opened {
            self.0.failures.set(self.0.failures.get() + 1);
            self.0.failure.set(Some(fault));
        }
        opened
    }

    async fn greet(&self, forward: &Forward<'_>, settings: Settings) -> Result<(), UpstreamFault> {
        let limit = forward.pool.connect_timeout.min(forward.left());
        let greeting = async {
            let upstream = Upstream::connect(forward.destination(), limit, forward.now).await;
            let upstream = upstream.map_err(DialFault::upstream)?;
            connection::open(upstream.into_stream(), (&settings, forward.pool.head_bytes), forward.now).await
        };
        let opened = tokio::time::timeout(limit, greeting).await;
        let (connection, driver) = opened.map_err(|_| UpstreamFault::ConnectionTimeout)??;
        self.0.alive.set(self.0.alive.get() + 1);
        let alive = Alive(Rc::clone(&self.0));
        tokio::task::spawn_local(connection::drive(
            driver,
            Rc::downgrade(&connection),
            settings,
            move || alive.tell(),
        ));
        self.0.open.borrow_mut().push(connection);
        Ok(())
    }
}

/// What somebody waits for who finds no room.
struct Waiting {
    state: Rc<State>,
    /// Those that were known when the wait began.
    failures: u64,
}

impl Waiting {
    fn new(state: &Rc<State>) -> Self {
        Self { state: Rc::clone(state), failures: state.failures.get() }
    }

    /// Until something has changed. Fails when the connection that was waited for could not be opened.
    async fn wait(&self, instance: &Instance, left: Duration) -> Result<(), Fault> {
        let waited = tokio::time::timeout(left, self.state.changed.notified()).await;
        waited.map_err(|_| exhausted(Unavailable::PoolExhausted))?;
        match self.state.failure.get() {
            Some(fault) if self.state.failures.get() != self.failures => {
                Err(Fault::unreachable(instance, fault))
            }
            Some(_) | None => Ok(()),
        }
    }
}

/// A stream on a connection that has room, or on a new one. Says also whether one was opened for it.
pub async fn claim(forward: &Forward<'_>, settings: Settings, links: &Links) -> Result<(Slot, bool), Fault> {
    let mut has_opened = false;
    let mut queued = None;
    loop {
        let turn = links.streams.borrow_mut().turn(forward, settings);
        match turn {
            Turn::Stream(slot) => return Ok((slot, has_opened)),
            Turn::Open(opening) => {
                let delayed = forward.connecting();
                let opened = opening.open(forward, settings).await;
                drop(delayed);
                opened.map_err(|fault| Fault::unreachable(forward.instance, fault))?;
                has_opened = true;
            }
            Turn::Wait(waiting) => {
                if queued.is_none() {
                    queued = Some(forward.line_up()?);
                }
                let _delayed = forward.queueing();
                waiting.wait(forward.instance, forward.left()).await?;
            }
        }
    }
}

impl Pools {
    fn pool(&mut self, forward: &Forward<'_>, http2: Settings) -> &mut Pool {
        let (instance, settings) = (forward.instance, *forward.pool);
        let make = || Pool { instance: Arc::clone(instance), settings, http2, state: Rc::default() };
        let pool = self.by_instance.entry(Arc::as_ptr(instance) as usize).or_insert_with(make);
        if pool.settings != settings || pool.http2 != http2 {
            // Streams under way keep their connection until they end.
            *pool = make();
        }
        pool
    }

    fn turn(&mut self, forward: &Forward<'_>, settings: Settings) -> Turn {
        let pool = self.pool(forward, settings);
        let state = &pool.state;
        pool.retire(forward.now);
        let open = state.open.borrow();
        if let Some(connection) = open.iter().find(|one| one.streams.get() < one.room(&settings)) {
            return Turn::Stream(Slot::new(connection, state));
        }
        if !state.is_opening.get() && state.alive.get() < pool.settings.connections {
            state.is_opening.set(true);
            return Turn::Open(Opening(Rc::clone(state)));
        }
        Turn::Wait(Waiting::new(state))
    }

    /// Closes what idled too long, and forgets instances that nobody else knows.
    pub fn sweep(&mut self, now: Instant) {
        for pool in self.by_instance.values() {
            pool.retire(now);
        }
        self.by_instance.retain(|_, pool| Arc::strong_count(&pool.instance) > 1 || pool.is_in_use());
    }

    pub fn counts(&self, instance: &Arc<Instance>) -> Counts {
        let key = Arc::as_ptr(instance) as usize;
        let Some(pool) = self.by_instance.get(&key) else { return Counts::default() };
        let open = pool.state.open.borrow();
        let idle = open.iter().filter(|connection| connection.streams.get() == 0).count();
        let active = pool.state.alive.get().saturating_sub(idle);
        Counts { idle, active, streams: pool.state.streams.get() }
    }
}

impl Pool {
    /// Lets go of connections that take no more streams, are too old, or idled too long. Each ends with its last stream.
    fn retire(&self, now: Instant) {
        self.state.open.borrow_mut().retain(|connection| {
            if connection.touched.take() || connection.streams.get() > 0 {
                connection.idle_since.set(now);
            }
            now.saturating_duration_since(connection.created) < self.settings.max_lifetime
                && now.saturating_duration_since(connection.idle_since.get()) < self.settings.idle_timeout
                && connection.takes_more()
        });
    }

    /// Those who wait for a stream hold the instance, and by that the pool.
    fn is_in_use(&self) -> bool {
        self.state.streams.get() > 0
    }
}
