//! One worker's side of the store.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use redis::{Cmd, ErrorKind, RedisError, ServerErrorKind, Value};
use tokio::sync::Notify;
use tokio::task::spawn_local;
use tokio::time::timeout;

use super::breaker::Breaker;
use super::link::{Link, is_demoted};
use super::settings::Settings;
use super::{Shared, Standing, join};
use crate::limit::{Line, SCRIPT, Told};

/// Answers in time, one after the other, after which the store is believed to be well again.
const PROBES: usize = 3;
/// After a connection that failed, the next one is not tried before.
const REST: Duration = Duration::from_millis(200);
const BEAT: Duration = Duration::from_secs(1);

/// Tells that this node is there, and gives how many are. Those that say nothing for ten seconds are forgotten.
const HEARTBEAT: &str = "
local now = tonumber(redis.call('TIME')[1])
redis.call('ZADD', KEYS[1], now, ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - 10)
redis.call('EXPIRE', KEYS[1], 60)
return redis.call('ZCARD', KEYS[1])";
const NODES: &str = "rate-nodes";

/// By which Redis knows the script.
static NAME: LazyLock<String> = LazyLock::new(|| {
    let digest = digest(&SHA1_FOR_LEGACY_USE_ONLY, SCRIPT.as_bytes());
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
});

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

    /// Asks about all lines at once: one answer for each, or none for any.
    pub async fn ask(
        self: &Rc<Self>,
        settings: &Arc<Settings>,
        lines: &[Line],
    ) -> Result<Vec<Told>, Trouble> {
        self.adopt(settings);
        if self.is_open() {
            return Err(Trouble::Open);
        }
        if self.waiting.get() >= settings.document.max_waiting {
            return Err(Trouble::Full);
        }
        let _place = Waiting::new(&self.waiting);
        let answer = timeout(settings.deadline, self.exchange(settings, lines)).await;
        let answer = answer.unwrap_or(Err(Trouble::Late));
        self.saw(settings, answer.as_ref().err().copied());
        answer
    }

    /// What is to be done beside requests: called by the worker's clock.
    pub fn keep(self: &Rc<Self>, settings: Option<&Arc<Settings>>) {
        let Some(settings) = settings else { return self.forget() };
        self.adopt(settings);
        let now = Instant::now();
        let mut inner = self.inner.borrow_mut();
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

    fn saw(&self, settings: &Settings, trouble: Option<Trouble>) {
        if trouble.is_some_and(|trouble| !trouble.counts()) {
            return;
        }
        let mut inner = self.inner.borrow_mut();
        let failures = settings.document.failures;
        if inner.breaker.saw(trouble.is_some(), failures, settings.open_for, Instant::now()) {
            // What is still under way would come too late for everybody, and in front of everything else.
            inner.link = None;
            if trouble == Some(Trouble::Late) {
                let deadline = settings.deadline.as_millis();
                self.shared.failed(format!("no answer within {deadline} ms"));
            }
            self.shared.stand(self.worker, Standing::Open);
        }
    }

    async fn exchange(
        self: &Rc<Self>,
        settings: &Arc<Settings>,
        lines: &[Line],
    ) -> Result<Vec<Told>, Trouble> {
        let (link, generation) = self.link(settings).await?;
        let groups = if settings.is_cluster() { by_server(lines) } else { vec![(0..lines.len()).collect()] };
        let calls = groups.iter().map(|group| {
            let lines: Vec<&Line> = group.iter().filter_map(|place| lines.get(*place)).collect();
            charge(link.clone(), lines)
        });
        let answers = join::all(calls).await.map_err(|error| self.failed(&error, generation))?;
        let mut told = vec![Told::default(); lines.len()];
        for (group, answer) in groups.iter().zip(answers) {
            for (place, one) in group.iter().zip(answer) {
                if let Some(place) = told.get_mut(*place) {
                    *place = one;
                }
            }
        }
        Ok(told)
    }

    fn failed(&self, error: &RedisError, generation: u64) -> Trouble {
        self.shared.failed(error.to_string());
        let is_lost = error.is_unrecoverable_error() || is_demoted(error);
        let mut inner = self.inner.borrow_mut();
        if is_lost && inner.generation == generation {
            inner.link = None;
        }
        if error.is_unrecoverable_error() { Trouble::Connection } else { Trouble::Answer }
    }

    /// The connection, as soon as there is one.
    async fn link(self: &Rc<Self>, settings: &Arc<Settings>) -> Result<(Link, u64), Trouble> {
        loop {
            let (link, generation, is_connecting) = {
                let inner = self.inner.borrow();
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
        let Ok(Ok((mut link, generation))) = connected else { return false };
        for _ in 0..PROBES {
            let asked = async {
                let answer = link.call(&heartbeat(&self.shared.id)).await;
                answer.map_err(|error| self.failed(&error, generation))
            };
            match timeout(settings.deadline, asked).await {
                Ok(Ok(_)) => {}
                Ok(Err(_)) => return false,
                Err(_) => {
                    self.shared.failed(format!("no answer within {} ms", settings.deadline.as_millis()));
                    return false;
                }
            }
        }
        true
    }

    /// Tells the other nodes that this one is there, and hears how many they are.
    async fn beat(self: Rc<Self>, settings: Arc<Settings>) {
        let asked = async {
            let (mut link, generation) = self.link(&settings).await?;
            let answer = link.call(&heartbeat(&self.shared.id)).await;
            answer.map_err(|error| self.failed(&error, generation))
        };
        let answer = timeout(settings.deadline, asked).await.unwrap_or(Err(Trouble::Late));
        self.saw(&settings, answer.as_ref().err().copied());
        if let Ok(Value::Int(nodes)) = answer {
            self.shared.heard(u32::try_from(nodes).unwrap_or(0));
        }
    }
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

/// Which lines can be decided together, as they are on one server of a cluster whatever it has.
fn by_server(lines: &[Line]) -> Vec<Vec<usize>> {
    let mut groups: Vec<(&str, Vec<usize>)> = Vec::new();
    for (place, line) in lines.iter().enumerate() {
        match groups.iter_mut().find(|(tag, _)| *tag == line.tag()) {
            Some((_, group)) => group.push(place),
            None => groups.push((line.tag(), vec![place])),
        }
    }
    groups.into_iter().map(|(_, group)| group).collect()
}

fn heartbeat(id: &str) -> Cmd {
    let mut command = redis::cmd("EVAL");
    command.arg(HEARTBEAT).arg(1).arg(NODES).arg(id);
    command
}

/// One call of the script. A server that does not know it, having been started anew, is told it in passing.
async fn charge(mut link: Link, lines: Vec<&Line>) -> Result<Vec<Told>, RedisError> {
    let answer = match link.call(&command("EVALSHA", &NAME, &lines)).await {
        Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
            link.call(&command("EVAL", SCRIPT, &lines)).await?
        }
        answer => answer?,
    };
    let numbers: Vec<i64> = redis::from_redis_value(answer)?;
    let told: Option<Vec<Told>> = numbers.chunks(Told::WIDTH).map(Told::read).collect();
    let told = told.filter(|told| told.len() == lines.len());
    told.ok_or_else(|| (ErrorKind::UnexpectedReturnType, "the script has answered something else").into())
}

fn command(word: &str, script: &str, lines: &[&Line]) -> Cmd {
    let mut command = redis::cmd(word);
    command.arg(script).arg(lines.len());
    for line in lines {
        command.arg(&line.key);
    }
    // The clock is the server's, so that those of the nodes do not matter.
    command.arg(0);
    for line in lines {
        command.arg(line.kind).arg(line.limit).arg(line.window).arg(line.room).arg(line.needed);
        command.arg(line.charged).arg(line.block).arg(line.mode as u8);
        command.arg(line.period.0).arg(line.period.1);
    }
    command
}
