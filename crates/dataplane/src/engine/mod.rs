//! The engine: starts and stops the threads of a node and hands them their configuration.

mod addresses;
mod breakers;
mod control;
mod explain;
mod expressions;
mod keys;
mod limits;
mod listening;
mod marks;
mod meter;
mod revocations;
mod socket_file;
mod state;
mod takeover;
mod thread;
mod usage;
mod warm;

use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::balance::BreakerChange;
use crate::io::address::Address;
use crate::io::socket::Listening;
use crate::listener::accept::Door;
use crate::node::{Node, Options};
use crate::questions::Told;
use crate::record::{CensusCell, Lines};
use crate::snapshot::Snapshot;
use crate::snapshot::document::Instances;
use control::Control;
pub use explain::decide;
pub use expressions::check_expressions;
use listening::{Opened, Wanted};
pub use marks::contains_any;
use socket_file::SocketFile;
use takeover::Inherited;
use thread::{Command, WorkerThread};

/// What both sides of a WebSocket have for their close frames before the end of a drain.
const LAST_WORDS: Duration = Duration::from_secs(5);
/// How often a drain looks whether it is over.
const STEP: Duration = Duration::from_millis(10);

/// Why the engine refused. The texts say what and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EngineError {
    /// It was asked at the wrong time, or a thread could not be started.
    Engine(String),
    /// A document does not compile; what was live stays live.
    Snapshot(String),
    /// An address cannot be listened on; what was live stays live.
    Listen(String),
}

/// A listener that is open.
#[derive(Clone, Debug)]
struct OpenListener {
    name: String,
    /// As configured; the port may be 0.
    configured: Address,
    bound: Address,
    door: Door,
    /// The workers' sockets once more, for a process that takes over.
    sockets: Arc<[OwnedFd]>,
    /// Where the address is a path.
    file: Option<Arc<SocketFile>>,
}

#[derive(Default)]
struct Running {
    workers: Vec<WorkerThread>,
    control: Option<Control>,
    listeners: Vec<OpenListener>,
    /// What another process has handed over, until the first snapshot is live.
    inherited: Vec<Inherited>,
    stopped: bool,
}

/// One data plane. All methods may be called from any thread.
pub struct Engine {
    node: Arc<Node>,
    running: Mutex<Running>,
}

impl Engine {
    /// `options` as in `node::Options`, JSON.
    pub fn new(options: &[u8]) -> Result<Self, EngineError> {
        let options: Options = serde_json::from_slice(options)
            .map_err(|error| EngineError::Engine(format!("options: {error}")))?;
        if !(1..=256).contains(&options.workers) {
            return Err(EngineError::Engine(format!(
                "options: {} workers; 1 to 256 would work",
                options.workers
            )));
        }
        Ok(Self { node: Arc::new(Node::new(options)), running: Mutex::default() })
    }

    fn lock(&self) -> MutexGuard<'_, Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn start(&self) -> Result<(), EngineError> {
        let mut running = self.lock();
        if !running.workers.is_empty() || running.stopped {
            return Err(EngineError::Engine("the engine was started before".to_owned()));
        }
        for index in 0..self.node.options.workers {
            running.workers.push(WorkerThread::start(index, &self.node)?);
        }
        running.control = Some(Control::start(&self.node)?);
        Ok(())
    }

    /// Compiles, opens what is new, swaps, closes what is gone. On an error nothing has changed.
    pub fn apply(&self, json: &[u8]) -> Result<u64, EngineError> {
        let mut running = self.lock();
        if running.workers.is_empty() || running.stopped {
            return Err(EngineError::Engine("the engine is not running".to_owned()));
        }
        if self.node.is_draining() {
            return Err(EngineError::Engine("the engine is draining".to_owned()));
        }
        let snapshot = Arc::new(self.node.compile(json).map_err(EngineError::Snapshot)?);
        let new = running.bind_new(&snapshot)?;
        let version = snapshot.version;
        self.node.go_live(Arc::clone(&snapshot), unix_ms());
        // In this order: a path that changes its listener always has one.
        running.open(new);
        running.inherited.clear();
        running.close_gone(&snapshot);
        Ok(version)
    }

    /// Takes the sockets that the node at `path` listens on, to use them instead of new ones in the first `apply`, and the token of
    /// its self-checks: for a while either answers what the other asks.
    pub fn adopt(&self, path: &Path) -> Result<usize, EngineError> {
        let refused = |error| EngineError::Engine(format!("sockets of the old node: {error}"));
        let inherited = takeover::receive(path).map_err(refused)?;
        let mut running = self.lock();
        if !running.listeners.is_empty() || running.stopped {
            return Err(EngineError::Engine("sockets are adopted before the first `apply`".to_owned()));
        }
        let tokens = inherited.iter().filter_map(Inherited::self_check);
        tokens.for_each(|token| self.node.self_check.take_over(token));
        running.inherited = inherited;
        Ok(running.inherited.iter().map(Inherited::len).sum())
    }

    /// The open listeners with the descriptors of their sockets, as JSON. They stay valid until the next `apply` or `drain`.
    pub fn listening(&self) -> Vec<u8> {
        takeover::listening(&self.lock().listeners, self.node.self_check.token().as_deref())
    }

    pub fn set_instances(&self, service: &str, json: &[u8]) -> Result<(), EngineError> {
        let instances: Instances = serde_json::from_slice(json)
            .map_err(|error| EngineError::Snapshot(format!("instances of `{service}`: {error}")))?;
        self.node.services.set_instances(service, instances).map_err(EngineError::Snapshot)
    }

    pub fn set_keys(&self, identity: &str, json: &[u8]) -> Result<(), EngineError> {
        self.node.keys.set(identity, json).map_err(EngineError::Snapshot)
    }

    /// Starts or ends the draining of an instance; `None` where there is no such service or instance.
    pub fn drain_instance(&self, service: &str, instance: &str, wanted: bool) -> Option<usize> {
        self.node.services.drain(service, instance, wanted.then(Instant::now))
    }

    /// `change` as in `balance::BreakerChange`. Gives how many breakers it changed.
    pub fn set_breaker(&self, name: Option<&str>, change: &[u8]) -> Result<usize, EngineError> {
        let change: BreakerChange = serde_json::from_slice(change)
            .map_err(|error| EngineError::Engine(format!("change of a breaker: {error}")))?;
        Ok(self.node.services.change_breakers(name, &change, Instant::now()))
    }

    pub fn reset_limits(&self, tier: Option<&str>, caller: Option<&str>) -> usize {
        self.node.counters.reset(tier, caller)
    }

    /// Sets the limit of a tier for so long; `None` gives it back to the configuration.
    pub fn set_limit(&self, tier: &str, limit: Option<u64>, lasts_ms: u64) -> Result<(), EngineError> {
        limits::set_limit(&self.node, tier, limit, lasts_ms)
    }

    /// How the node stands with the store of shared limits, as JSON; `null` where none is shared.
    pub fn limit_store(&self) -> Vec<u8> {
        limits::store(&self.node, self.node.snapshot().as_deref()).to_string().into_bytes()
    }

    /// Asks nobody about shared limits for so long; 0 ends that. `counts`: each node counts its share meanwhile.
    pub fn bypass_limits(&self, for_ms: u64, counts: bool) {
        limits::bypass(&self.node, for_ms, counts);
    }

    /// The callers that are banned, as JSON; at most `LISTED_BANS`.
    pub fn bans(&self) -> Vec<u8> {
        limits::bans(&self.node)
    }

    pub fn lift_bans(&self, tier: Option<&str>, caller: Option<&str>) -> usize {
        self.node.counters.lift_bans(tier, caller, unix_ms())
    }

    /// What was added to quotas since the last call, as JSON; `None` where nothing was.
    pub fn take_quotas(&self, maximum: usize) -> Option<Vec<u8>> {
        limits::take_quotas(&self.node, maximum)
    }

    /// Adds what was stored to the quotas of the live snapshot; gives how many lines counted.
    pub fn restore_quotas(&self, json: &[u8]) -> Result<usize, EngineError> {
        limits::restore_quotas(&self.node, json)
    }

    /// Bans that began or were lifted since the last call, as JSON; `None` where none did.
    pub fn take_bans(&self, maximum: usize) -> Option<Vec<u8>> {
        limits::take_bans(&self.node, maximum)
    }

    /// Bans and lifts as other processes did; gives how many changed anything.
    pub fn restore_bans(&self, json: &[u8]) -> Result<usize, EngineError> {
        limits::restore_bans(&self.node, json)
    }

    /// Reads a file of networks, countries or scores again; gives its size as JSON. See `addresses::reload`.
    pub fn reload_addresses(&self, kind: &str, name: &str) -> Result<Vec<u8>, EngineError> {
        addresses::reload(&self.node, kind, name).map_err(EngineError::Engine)
    }

    /// Replaces the networks that are blocked by hand: a JSON list of `{"network", "until_ms"}`. Gives how many.
    pub fn set_blocks(&self, json: &[u8]) -> Result<usize, EngineError> {
        self.node.blocks.set(json).map_err(EngineError::Engine)
    }

    /// Records as JSON lines; what has come waits up to 10 ms for more.
    pub fn next_records(&self, maximum_bytes: usize, wait: Duration) -> Option<Lines<'_>> {
        self.node.records.take(maximum_bytes, wait)
    }

    /// From now on requests are counted in so many cells of each worker at most; 0: no more.
    pub fn count_requests(&self, most: usize) {
        self.node.census.set_most(most);
    }

    /// What was counted since the last call.
    pub fn take_counts(&self) -> Vec<CensusCell> {
        self.node.census.take()
    }

    pub fn next_questions(&self, wait: Duration) -> Option<Vec<u8>> {
        self.node.questions.take(wait)
    }

    /// `result` as in `AnswerDocument`. What cannot be used is no answer: who waits is told that there is none.
    pub fn answer(&self, question: u64, result: &[u8]) -> Result<(), EngineError> {
        let refused = |error: String| EngineError::Engine(format!("answer: {error}"));
        let read = serde_json::from_slice(result).map_err(|error| error.to_string());
        let learned = read.and_then(|answer| keys::learn(&self.node, question, answer));
        self.node.questions.tell(question, learned.as_ref().map_or(Told::No, Told::clone));
        learned.map(|_| ()).map_err(refused)
    }

    /// Forgets what is known of API keys of the store; `ids` is a JSON list of their ids, or `null` for all.
    pub fn forget_keys(&self, ids: &[u8]) -> Result<usize, EngineError> {
        keys::forget(&self.node, ids).map_err(EngineError::Engine)
    }

    /// Revokes tokens: `entries` is a list of `RevocationDocument`, which is all there is where it is to `replace`.
    pub fn revoke(&self, entries: &[u8], replace: bool) -> Result<u64, EngineError> {
        revocations::revoke(&self.node, entries, replace)
    }

    /// Takes entries away again; gives how many there were.
    pub fn restore(&self, entries: &[u8]) -> Result<usize, EngineError> {
        revocations::restore(&self.node, entries)
    }

    /// How keys of the store were used since the last call, as a JSON list.
    pub fn key_uses(&self) -> Vec<u8> {
        keys::uses(&self.node)
    }

    /// Stops accepting and waits until no connection is left, at most until the deadline. Gives whether all ended.
    /// WebSockets are told to end `LAST_WORDS` before that, or in the middle of a shorter time.
    pub fn drain(&self, deadline: Duration) -> bool {
        let until = Instant::now() + deadline;
        self.node.begin_draining();
        let (ready, accepted) = channel();
        {
            let mut running = self.lock();
            running.listeners.clear();
            running.workers.iter().for_each(|worker| worker.send(Command::Drain(ready.clone())));
        }
        drop(ready);
        // Without this, connections that wait to be accepted would not be counted yet. Ends when all have said so.
        while accepted.recv_timeout(until.saturating_duration_since(Instant::now())).is_ok() {}
        let is_empty = || self.node.connections.load(Ordering::Relaxed) == 0;
        if wait_for(is_empty, until - LAST_WORDS.min(deadline / 2)) {
            return true;
        }
        self.lock().workers.iter().for_each(|worker| worker.send(Command::Insist));
        wait_for(is_empty, until)
    }

    /// Ends every thread. Connections that are left are cut.
    pub fn stop(&self) {
        let mut running = self.lock();
        running.stopped = true;
        running.listeners.clear();
        running.inherited.clear();
        self.node.begin_draining();
        self.node.questions.close();
        let workers = std::mem::take(&mut running.workers);
        workers.iter().for_each(|worker| worker.send(Command::Stop));
        workers.into_iter().for_each(WorkerThread::join);
        if let Some(control) = running.control.take() {
            control.stop();
        }
        self.node.records.close();
    }
}

impl Running {
    /// One socket for each worker of each listener that is not open yet.
    fn bind_new(&self, snapshot: &Snapshot) -> Result<Vec<(OpenListener, Vec<Listening>)>, EngineError> {
        let mut new = Vec::new();
        for listener in &snapshot.listeners {
            let name = listener.named.name.to_string();
            if self.listeners.iter().any(|open| open.name == name && open.configured == listener.address) {
                continue;
            }
            let refused = |error| {
                EngineError::Listen(format!(
                    "{}: listener `{name}` on {}: {error}",
                    listener.named.at, listener.address
                ))
            };
            let address = &listener.address;
            let ours = self.listeners.iter().filter(|open| open.configured == *address);
            let lock = ours.filter_map(|open| open.file.as_ref()).map(|file| file.lock()).next();
            let handed = takeover::handed(&self.inherited, &name, address).map_err(refused)?;
            let wanted = Wanted { mode: listener.socket_mode, workers: self.workers.len(), lock, handed };
            let Opened { bound, sockets, kept, file } = listening::open(address, wanted).map_err(refused)?;
            let door = Door::new(&name);
            let configured = address.clone();
            new.push((OpenListener { name, configured, bound, door, sockets: kept, file }, sockets));
        }
        Ok(new)
    }

    fn open(&mut self, new: Vec<(OpenListener, Vec<Listening>)>) {
        for (listener, sockets) in new {
            if let Some(file) = &listener.file {
                // It stands beside its name already, so that only a directory that has gone can fail this.
                let _ = file.publish();
            }
            for (worker, socket) in self.workers.iter().cycle().zip(sockets) {
                worker.send(Command::Listen(listener.door.clone(), socket));
            }
            self.listeners.push(listener);
        }
    }

    fn close_gone(&mut self, snapshot: &Snapshot) {
        let workers = &self.workers;
        self.listeners.retain(|open| {
            let stays =
                snapshot.listener(&open.name).is_some_and(|listener| listener.address == open.configured);
            if let (true, Some(file), Some(listener)) = (stays, &open.file, snapshot.listener(&open.name)) {
                // Whoever has removed the file has closed the listener himself.
                let _ = file.permit(listener.socket_mode);
            }
            if !stays {
                workers.iter().for_each(|worker| worker.send(Command::Close(open.door.clone())));
            }
            stays
        });
    }
}

fn wait_for(condition: impl Fn() -> bool, until: Instant) -> bool {
    while !condition() {
        if Instant::now() >= until {
            return false;
        }
        std::thread::sleep(STEP);
    }
    true
}

pub(crate) fn unix_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}
