//! One worker thread: a runtime of its own, its listeners, and what it does every so often.

use std::io;
use std::rc::Rc;
use std::sync::mpsc::{Sender, sync_channel};
use std::sync::{Arc, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, LocalRuntime};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle as TaskHandle;

use crate::engine::{EngineError, usage, warm};
use crate::io::socket::{Acceptor, Listening};
use crate::listener::accept::{self, Door};
use crate::node::Node;
use crate::worker::{Leave, Worker};

/// Records wait at most this long before Python can take them.
const TICK: Duration = Duration::from_millis(50);
/// Idle connections are looked after every this many ticks.
const SWEEP: u32 = 20;
/// Threads of a worker that may block on files; they end when nobody has asked for a file for ten seconds.
const FILE_THREADS: usize = 4;
/// How long the end of a worker waits for a disk.
const DISK_GRACE: Duration = Duration::from_secs(1);
/// While draining, a client that is about to send on an idle connection gets this long to do so.
const IDLE_GRACE: Duration = Duration::from_secs(1);

pub enum Command {
    Listen(Door, Listening),
    Close(Door),
    /// Says so once every connection that the kernel has accepted is counted.
    Drain(Sender<()>),
    /// The drain is nearly over: what has no end of its own gets one.
    Insist,
    Stop,
}

pub struct WorkerThread {
    commands: UnboundedSender<Command>,
    handle: JoinHandle<()>,
}

impl WorkerThread {
    pub fn start(index: usize, node: &Arc<Node>) -> Result<Self, EngineError> {
        let refused = |error: io::Error| EngineError::Engine(format!("worker {index}: {error}"));
        let (commands, receiver) = unbounded_channel();
        let (starting, started) = sync_channel(1);
        let node = Arc::clone(node);
        let work = move || {
            let (runtime, outcome) = match runtime() {
                Ok(runtime) => (Some(runtime), Ok(())),
                Err(error) => (None, Err(error)),
            };
            // Whoever starts a worker waits for this.
            let _ = starting.send(outcome);
            if let Some(runtime) = runtime {
                live(index, node, receiver, runtime);
            }
        };
        let handle =
            std::thread::Builder::new().name(format!("worker-{index}")).spawn(work).map_err(refused)?;
        started.recv().map_err(io::Error::other).flatten().map_err(refused)?;
        Ok(Self { commands, handle })
    }

    pub fn send(&self, command: Command) {
        // A worker that has ended needs no commands.
        let _ = self.commands.send(command);
    }

    pub fn join(self) {
        drop(self.commands);
        // A panic of the worker has been reported by its thread already.
        let _ = self.handle.join();
    }
}

/// Bound to the thread that builds it, which saves every wake-up the look at whose task it is.
fn runtime() -> io::Result<LocalRuntime> {
    Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(FILE_THREADS)
        .thread_name("files")
        .build_local(Default::default())
}

fn live(index: usize, node: Arc<Node>, commands: UnboundedReceiver<Command>, runtime: LocalRuntime) {
    let mine = usage::own_thread();
    node.threads.lock().unwrap_or_else(PoisonError::into_inner).extend(mine);
    let worker = Rc::new(Worker::new(index, node));
    runtime.block_on(Life { worker, doors: Vec::new() }.run(commands));
    runtime.shutdown_timeout(DISK_GRACE);
}

struct OpenDoor {
    door: Door,
    listener: Rc<Acceptor>,
    task: TaskHandle<()>,
}

struct Life {
    worker: Rc<Worker>,
    doors: Vec<OpenDoor>,
}

impl Life {
    async fn run(mut self, mut commands: UnboundedReceiver<Command>) {
        let mut newcomers = self.worker.node.crowd.receive(self.worker.index);
        let worker = Rc::clone(&self.worker);
        // A task of its own: closing listeners, which this one waits for, is no fault of the worker's.
        tokio::task::spawn_local(async move { worker.node.self_check.attend(worker.index).await });
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut ticks = 0_u32;
        loop {
            tokio::select! {
                biased;
                command = commands.recv() => match command {
                    Some(Command::Listen(door, socket)) => self.listen(door, socket),
                    Some(Command::Close(door)) => {
                        self.close(|open| Arc::ptr_eq(&open.door.open, &door.open), Leave::insist).await;
                    }
                    Some(Command::Drain(ready)) => {
                        self.drain().await;
                        // Nobody waits any longer when the deadline has passed.
                        let _ = ready.send(());
                    }
                    Some(Command::Insist) => self.worker.dismiss(|_| true, Leave::insist),
                    Some(Command::Stop) | None => break,
                },
                Some(newcomer) = newcomers.recv() => accept::adopt(&self.worker, newcomer),
                _ = tick.tick() => {
                    ticks = ticks.wrapping_add(1);
                    self.look_after(ticks);
                }
            }
        }
        self.worker.recorder.borrow_mut().flush();
    }

    fn look_after(&self, ticks: u32) {
        self.worker.recorder.borrow_mut().flush();
        let snapshot = self.worker.node.snapshot();
        self.worker.shared.keep(snapshot.as_ref().and_then(|snapshot| snapshot.shared_store.as_ref()));
        if ticks.is_multiple_of(SWEEP) {
            self.worker.calibrate();
            self.worker.links.sweep(Instant::now());
            warm::keep(&self.worker);
            self.worker.count_connections();
        }
    }

    fn listen(&mut self, door: Door, socket: Listening) {
        let Ok(listener) = socket.attach() else { return };
        let listener = Rc::new(listener);
        let accepting = accept::run(Rc::clone(&self.worker), door.clone(), Rc::clone(&listener));
        self.doors.push(OpenDoor { door, listener, task: tokio::task::spawn_local(accepting) });
    }

    async fn close(&mut self, gone: impl Fn(&OpenDoor) -> bool, wish: impl Fn(&Leave)) {
        let (closing, staying): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.doors).into_iter().partition(|open| gone(open));
        self.doors = staying;
        for open in closing {
            open.task.abort();
            accept::empty_backlog(&self.worker, &open.door, &open.listener).await;
            self.worker.dismiss(|door| Arc::ptr_eq(&door.open, &open.door.open), &wish);
        }
    }

    async fn drain(&mut self) {
        self.close(|_| true, Leave::ask).await;
        // Those of listeners that were gone before.
        self.worker.dismiss(|_| true, Leave::ask);
        let worker = Rc::clone(&self.worker);
        tokio::task::spawn_local(async move {
            tokio::time::sleep(IDLE_GRACE).await;
            // New connections cannot come; those that are busy now end with `Connection: close`.
            loop {
                abort_idle(&worker);
                tokio::time::sleep(TICK).await;
            }
        });
    }
}

fn abort_idle(worker: &Worker) {
    let idle: Vec<_> = {
        let connections = worker.connections.borrow();
        connections.values().filter(|open| open.is_idle.get()).map(|open| open.task.clone()).collect()
    };
    idle.into_iter().for_each(|task| task.abort());
}
