//! Accepting: one loop for each listener of each worker, all bound to the same address.

use std::io;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

use crate::io::socket::Acceptor;
use crate::io::stream::Stream;
use crate::listener::connection;
use crate::listener::crowd::Newcomer;
use crate::listener::ticket::{Clients, Full, Ticket};
use crate::snapshot::{Listener, Snapshot};
use crate::worker::{Leave, Open, Worker};

/// How long the runtime may take to notice what the kernel has accepted.
const NOTICE: Duration = Duration::from_millis(1);
/// How long to wait before trying again, so that others can close their connections when no descriptor is left.
const BREATH: Duration = Duration::from_millis(50);

/// A listener's name and how many connections it has on the whole node.
#[derive(Clone, Debug)]
pub struct Door {
    pub name: Arc<str>,
    pub open: Arc<AtomicU32>,
    pub clients: Arc<Clients>,
}

impl Door {
    pub fn new(name: &str) -> Self {
        Self { name: name.into(), open: Arc::default(), clients: Arc::default() }
    }
}

/// Accepts until the task is aborted.
pub async fn run(worker: Rc<Worker>, door: Door, listener: Rc<Acceptor>) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => admit(&worker, &door, stream, peer),
            // The peer gave up before it was accepted.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            // No descriptor or memory is left, or something that trying again at once would only repeat.
            Err(_) => {
                worker.counts().accept_pauses.add(1);
                tokio::time::sleep(BREATH).await;
            }
        }
    }
}

/// Takes what the kernel has accepted for us already, so that closing the socket resets nobody (granian#567).
pub async fn empty_backlog(worker: &Rc<Worker>, door: &Door, listener: &Acceptor) {
    let mut patience = NOTICE;
    while let Ok(Ok((stream, peer))) = tokio::time::timeout(patience, listener.accept()).await {
        admit(worker, door, stream, peer);
        // From the first one on the runtime asks the kernel each time.
        patience = Duration::ZERO;
    }
}

fn admit(worker: &Rc<Worker>, door: &Door, stream: Stream, peer: IpAddr) {
    let Some(snapshot) = worker.node.snapshot() else { return };
    let Some(listener) = snapshot.listener(&door.name) else { return };
    let counts = listener.metrics.worker(worker.index);
    counts.accepted.add(1);
    // Whose connection a balancer passes on is told by its first bytes.
    let is_told = listener.proxy_protocol.as_ref().is_some_and(|settings| settings.is_spoken_by(peer));
    let client = Some(peer).filter(|_| !is_told);
    let ticket = match Ticket::take(&worker.node, door, listener, (worker.index, client)) {
        Ok(ticket) => ticket,
        Err(full) => {
            let refused = match full {
                Full::Listener => &counts.refused,
                Full::Client => &counts.refused_clients,
            };
            refused.add(1);
            stream.offer(&connection::too_many(peer, full));
            return;
        }
    };
    if ticket.worker() == worker.index {
        return welcome(worker, ticket, stream, peer);
    }
    worker.counts().handed_over.add(1);
    // A socket that cannot be taken from this runtime cannot be served by another.
    if let Ok(stream) = stream.detach() {
        worker.node.crowd.hand(ticket.worker(), Newcomer { ticket, stream, peer });
    }
}

/// Serves what another worker has accepted.
pub fn adopt(worker: &Rc<Worker>, newcomer: Newcomer) {
    if let Ok(stream) = newcomer.stream.attach() {
        welcome(worker, newcomer.ticket, stream, newcomer.peer);
    }
}

fn welcome(worker: &Rc<Worker>, ticket: Ticket, stream: Stream, peer: IpAddr) {
    let Some(snapshot) = worker.node.snapshot() else { return };
    let Some(listener) = snapshot.listener(&ticket.door.name) else { return };
    listener.metrics.worker(worker.index).open.add(1);
    let leave: Rc<Leave> = Rc::default();
    if worker.node.is_draining() {
        // This worker may have asked all of its own before another one has handed it over.
        leave.ask();
    }
    let guard = Guard {
        worker: Rc::clone(worker),
        ticket,
        listener: Arc::clone(listener),
        metrics: Arc::clone(&listener.metrics),
        leave,
        id: 0,
    };
    spawn(worker, guard, stream, peer);
}

fn spawn(worker: &Rc<Worker>, mut guard: Guard, stream: Stream, peer: IpAddr) {
    let is_idle = Rc::new(std::cell::Cell::new(false));
    let id = worker.next_connection();
    guard.id = id;
    let (door, leave) = (guard.ticket.door.clone(), Rc::clone(&guard.leave));
    let task = connection::serve(Rc::clone(worker), guard, Rc::clone(&is_idle), stream, peer);
    let handle = tokio::task::spawn_local(task);
    worker.connections.borrow_mut().insert(id, Open { is_idle, leave, door, task: handle.abort_handle() });
}

/// Counts a connection out, however its task ends; a panic included.
pub struct Guard {
    worker: Rc<Worker>,
    pub ticket: Ticket,
    /// As it was configured last; a connection may outlive it.
    pub listener: Arc<Listener>,
    metrics: Arc<crate::record::ListenerMetrics>,
    /// Asked of connections that can tell their client to go elsewhere.
    pub leave: Rc<Leave>,
    pub id: u64,
}

impl Guard {
    /// Takes the settings of a live snapshot. False where the listener is no longer in it.
    pub fn follow(&mut self, snapshot: &Snapshot) -> bool {
        let Some(listener) = snapshot.listener(&self.ticket.door.name) else { return false };
        if !Arc::ptr_eq(listener, &self.listener) {
            self.listener = Arc::clone(listener);
        }
        true
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.metrics.worker(self.worker.index).open.subtract(1);
        if std::thread::panicking() {
            self.worker.counts().panics.add(1);
        }
        // While the set of connections is being gone through, the entry goes with it.
        if let Ok(mut connections) = self.worker.connections.try_borrow_mut() {
            connections.remove(&self.id);
        }
    }
}
