//! One worker's side of the store.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use redis::{ErrorKind, RedisError};
use tokio::sync::Notify;
use tokio::task::spawn_local;
use tokio::time::{timeout, timeout_at};

use super::breaker::Breaker;
use super::calls::{Fault, beat, charge, charge_on};
use super::link::Link;
use super::settings::Settings;
use super::wire::Wire;
use super::{Shared, Standing};
use crate::limit::{Line, ToldOfAll};

/// Answers in time, one after the other, after which the store is believed to be well again.
const PROBES: usize = 3;
/// After a connection that failed, the next one is not tried before.
const REST: Duration = Duration::from_millis(200);
const BEAT: Duration = Duration::from_secs(1);

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// There was none within the deadline.
    Late,
    /// There is no connection.
    Connection,
    /// The answer is an error, or none of ours.
    Answer,
    /// As many requests wait as may.
    Full,
    /// The store is not asked for a while.
    Open,
}

impl Trouble {
    /// In the order of their numbers.
    pub const ALL: [Self; 5] = [Self::Late, Self::Connection, Self::Answer, Self::Full, Self::Open];

    fn counts(self) -> bool {
        matches!(self, Self::Late | Self::Connection | Self::Answer)
    }
}

pub struct Client {
    shared: Arc<Shared>,
    worker: usize,
    inner: RefCell<Inner>,
    waiting: Cell<u32>,
    /// A connection was made, or could not be.
    tried: Notify,
}

struct Inner {
    settings: Option<Arc<Settings>>,
    link: Option<Link>,
    /// Rises with each connection, so that nobody drops another's.
    generation: u64,
    is_connecting: bool,
    rests_until: Instant,
    next_beat: Instant,
    breaker: Breaker,
}

impl Client {
    pub fn new(worker: usize, shared: Arc<Shared>) -> Self {
        let now = Instant::now();
        let inner = Inner {
            settings: None,
            link: None,
            generation: 0,
            is_connecting: false,
            rests_until: now,
            next_beat: now,
            breaker: Breaker::new(now),
        };
        let (inner, waiting, tried) = (RefCell::new(inner), Cell::new(0), Notify::new());
        Self { shared, worker, inner, waiting, tried }
    }

    /// Does it make sense to ask?
    pub fn is_open(&self) -> bool {
        self.inner.borrow().breaker.is_open()
    }

    /// Asks about all lines at once: one answer for each, or none for any. `now` is what the clock says.
    pub async fn ask(
        self: &Rc<Self>,
        settings: &Arc<Settings>,
        lines: &[Line],
        now: Instant,
    ) -> Result<ToldOfAll, Trouble> {
        self.adopt(settings);
        if self.is_open() {
            return Err(Trouble::Open);
        }
        if self.waiting.get() >= settings.document.max_waiting {
            return Err(Trouble::Full);
        }
        let _place = Waiting::new(&self.waiting);
        let deadline = now + settings.deadline;
        let answer = match self.wire() {
            Some((wire, generation)) => {
                charge_on(&wire, lines, deadline).await.map_err(|fault| self.failed(fault, generation))
            }
            // On the heap, as it is a large future that hardly any request needs.
            None => Box::pin(self.exchange(settings, lines, deadline)).await,
        };
        self.saw(settings, answer.as_ref().err().copied(), now);
        answer
    }

    /// What is to be done beside requests: called by the worker's clock.
    pub fn keep(self: &Rc<Self>, settings: Option<&Arc<Settings>>) {
        let Some(settings) = settings else { return self.forget() };
        self.adopt(settings);
        let now = Instant::now();
        let mut inner = self.inner.borrow_mut();
        inner.drop_ended();
        if inner.breaker.wants_probe(now) {
            spawn_local(Rc::clone(self).probe(Arc::clone(settings)));
        } else if inner.link.is_none() && !inner.breaker.is_open() {
            drop(inner);
            self.connect(settings);
        } else if self.worker == 0 && now >= inner.next_beat && inner.link.is_some() {
            inner.next_beat = now + BEAT;
            spawn_local(Rc::clone(self).beat(Arc::clone(settings)));
        }
    }

    fn forget(&self) {
        let mut inner = self.inner.borrow_mut();
        if inner.settings.take().is_some() {
            inner.link = None;
            self.shared.stand(self.worker, Standing::Idle);
        }
    }

    /// Speaks to this store from now on.
    fn adopt(&self, settings: &Arc<Settings>) {
        let mut inner = self.inner.borrow_mut();
        if inner.settings.as_ref().is_some_and(|known| Arc::ptr_eq(known, settings)) {
            return;
        }
        if !inner.settings.as_ref().is_some_and(|known| known.is_like(settings)) {
            (inner.link, inner.generation) = (None, inner.generation + 1);
            (inner.is_connecting, inner.rests_until) = (false, Instant::now());
            inner.breaker = Breaker::new(Instant::now());
        }
        inner.settings = Some(Arc::clone(settings));
    }

    /// `asked_at` is near enough where all went well; what the clock says after a failure costs a look at it.
    fn saw(&self, settings: &Settings, trouble: Option<Trouble>, asked_at: Instant) {
        if trouble.is_some_and(|trouble| !trouble.counts()) {
            return;
        }
        let mut inner = self.inner.borrow_mut();
        let failures = settings.document.failures;
        let now = if trouble.is_some() { Instant::now() } else { asked_at };
        if inner.breaker.saw(trouble.is_some(), failures, settings.open_for, now) {
            // What is still under way would come too late for everybody, and in front of everything else.
            inner.link = None;
            if trouble == Some(Trouble::Late) {
                self.shared.failed(no_answer(settings));
            }
            self.shared.stand(self.worker, Standing::Open);
        }
    }

    /// The connection of this node's own, where there is one: who asks on it needs no timer.
    fn wire(&self) -> Option<(Rc<Wire>, u64)> {
        let inner = self.inner.borrow();
        match &inner.link {
            Some(Link::Own(wire)) if !wire.is_ended() => Some((Rc::clone(wire), inner.generation)),
            _ => None,
        }
    }

    async fn exchange(
        self: &Rc<Self>,
        settings: &Arc<Settings>,
        lines: &[Line],
        deadline: Instant,
    ) -> Result<ToldOfAll, Trouble> {
        let connected = timeout_at(deadline.into(), self.link(settings)).await;
        let (link, generation) = connected.unwrap_or(Err(Trouble::Late))?;
        charge(link, lines, deadline).await.map_err(|fault| self.failed(fault, generation))
    }

    fn failed(&self, fault: Fault, generation: u64) -> Trouble {
        if let Some(words) = fault.words {
            self.shared.failed(words);
        }
        let mut inner = self.inner.borrow_mut();
        if fault.is_lost && inner.generation == generation {
            inner.link = None;
        }
        fault.trouble
    }

    /// The connection, as soon as there is one.
    async fn link(self: &Rc<Self>, settings: &Arc<Settings>) -> Result<(Link, u64), Trouble> {
        loop {
            let (link, generation, is_connecting) = {
                let mut inner = self.inner.borrow_mut();
                inner.drop_ended();
                (inner.link.clone(), inner.generation, inner.is_connecting)
            };
            if let Some(link) = link {
                return Ok((link, generation));
            }
            if !is_connecting && !self.connect(settings) {
                return Err(Trouble::Connection);
            }
            self.tried.notified().await;
            if self.inner.borrow().link.is_none() {
                return Err(Trouble::Connection);
            }
        }
    }

    /// False: the last attempt has failed just now.
    fn connect(self: &Rc<Self>, settings: &Arc<Settings>) -> bool {
        let mut inner = self.inner.borrow_mut();
        if inner.is_connecting {
            return true;
        }
        if Instant::now() < inner.rests_until {
            return false;
        }
        inner.is_connecting = true;
        inner.generation += 1;
        let (client, settings, generation) = (Rc::clone(self), Arc::clone(settings), inner.generation);
        spawn_local(async move {
            let opened = timeout(settings.connect_timeout, Link::connect(&settings)).await;
            let late = |_| RedisError::from((ErrorKind::Io, "no connection in time"));
            client.connected(opened.map_err(late).flatten(), generation);
        });
        true
    }

    fn connected(&self, opened: Result<Link, RedisError>, generation: u64) {
        let mut inner = self.inner.borrow_mut();
        if inner.generation == generation {
            inner.is_connecting = false;
            match opened {
                Ok(link) => {
                    inner.link = Some(link);
                    if !inner.breaker.is_open() {
                        self.shared.stand(self.worker, Standing::Connected);
                    }
                }
                Err(error) => {
                    inner.rests_until = Instant::now() + REST;
                    if !inner.breaker.is_open() {
                        self.shared.stand(self.worker, Standing::Idle);
                    }
                    self.shared.failed(error.to_string());
                }
            }
        }
        self.tried.notify_waiters();
    }

    /// Are there answers again, and in time?
    async fn probe(self: Rc<Self>, settings: Arc<Settings>) {
        let is_well = self.is_well(&settings).await;
        let mut inner = self.inner.borrow_mut();
        inner.breaker.probed(is_well, settings.open_for, Instant::now());
        if is_well {
            self.shared.stand(self.worker, Standing::Connected);
        } else {
            inner.link = None;
        }
    }

    async fn is_well(self: &Rc<Self>, settings: &Arc<Settings>) -> bool {
        let connected = timeout(settings.connect_timeout, self.link(settings)).await;
        let Ok(Ok((link, generation))) = connected else { return false };
        for _ in 0..PROBES {
            let told = beat(link.clone(), &self.shared.id, Instant::now() + settings.deadline).await;
            let Err(fault) = told else { continue };
            if self.failed(fault, generation) == Trouble::Late {
                self.shared.failed(no_answer(settings));
            }
            return false;
        }
        true
    }

    /// Tells the other nodes that this one is there, and hears how many they are.
    async fn beat(self: Rc<Self>, settings: Arc<Settings>) {
        let now = Instant::now();
        let deadline = now + settings.deadline;
        let connected = timeout_at(deadline.into(), self.link(&settings)).await;
        let answer = match connected.unwrap_or(Err(Trouble::Late)) {
            Ok((link, generation)) => {
                beat(link, &self.shared.id, deadline).await.map_err(|fault| self.failed(fault, generation))
            }
            Err(trouble) => Err(trouble),
        };
        self.saw(&settings, answer.err(), now);
        if let Ok(nodes) = answer {
            self.shared.heard(nodes);
        }
    }
}

impl Inner {
    /// A connection that the server has closed is replaced before somebody asks on it.
    fn drop_ended(&mut self) {
        if self.link.as_ref().is_some_and(Link::is_ended) {
            self.link = None;
        }
    }
}

fn no_answer(settings: &Settings) -> String {
    format!("no answer within {} ms", settings.deadline.as_millis())
}

/// One more request that waits, until it is dropped.
struct Waiting<'c> {
    count: &'c Cell<u32>,
}

impl<'c> Waiting<'c> {
    fn new(count: &'c Cell<u32>) -> Self {
        count.set(count.get() + 1);
        Self { count }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.count.set(self.count.get().saturating_sub(1));
    }
}
