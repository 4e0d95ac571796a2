//! A client's connection that speaks HTTP/2: streams in, each to a task of its own, until one side has had enough.

mod exchange;
mod frames;
mod head;
mod heads;
mod outgoing;
pub mod piece;
pub mod seat;
mod stream;
mod watch;

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use h2::Reason;
use h2::server::{Builder, Connection};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinSet;

use crate::http1::fields::MAX_HEADERS;
use crate::io::timer::Timer;
use crate::listener::accept::Guard;
use crate::pipeline::Facts;
use crate::pipeline::account::Visit;
use crate::record::{Flood, TimeoutKind};
use crate::request::Peer;
use crate::snapshot::Listener;
use crate::worker::Worker;
use piece::Piece;
use stream::{Carrier, Opened};
use watch::{Watch, Watched};

/// Bytes of one stream that the codec may keep until the client takes them.
const SEND_BUFFER: usize = 64 * 1024;
/// How long the end of a connection may take.
const LAST_FRAMES: Duration = Duration::from_secs(1);
/// How long its streams may take then to notice; a WebSocket waits five seconds for its service.
const LAST_STREAMS: Duration = Duration::from_secs(6);
/// The codec bounds stream errors for the life of a connection, and queues them where the client takes nothing: by this
/// multiple of what we allow in ten seconds.
const ERRORS_KEPT: usize = 10;
/// A field counts for this much more than its bytes (RFC 9113 section 10.5.1).
const PER_FIELD: u32 = 32;

/// Who is at the other end of a connection, and what it was accepted with.
pub struct Client<'a> {
    pub worker: &'a Rc<Worker>,
    pub guard: &'a mut Guard,
    pub is_idle: &'a Cell<bool>,
    pub timer: &'a mut Timer,
    pub peer: Peer,
}

/// What a connection is waiting for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waiting {
    FirstRequest,
    Requests,
    /// Streams are open, and each has its own deadlines.
    Streams,
    /// That the client takes our last frames.
    Close,
}

/// Which wait has lasted too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Late {
    Client(TimeoutKind),
    Close,
}

enum Event {
    Opened(Box<Opened>),
    /// The node drains, or the listener is gone.
    Leave,
    Flood(Flood),
    Late(Late),
    Ended,
}

/// Serves a connection whose preface is still to be read, until it ends.
pub async fn serve<S: AsyncRead + AsyncWrite + Unpin>(client: Client<'_>, stream: S) {
    let listener = Arc::clone(&client.guard.listener);
    let watch = Watch::new(listener.http2, Arc::clone(&listener.metrics), client.worker.index);
    watch.counts().connections.add(1);
    let watch = Rc::new(RefCell::new(watch));
    let stream = Watched { stream, watch: Rc::clone(&watch) };
    let mut settings = settings(&listener);
    if client.worker.node.snapshot().is_some_and(|snapshot| snapshot.has_websockets()) {
        settings.enable_connect_protocol();
    }
    // In boxes: greeting needs much that serving does not, and what serves is moved no more.
    let handshake = Box::pin(settings.handshake::<_, Piece>(stream));
    match tokio::time::timeout(listener.header_timeout, handshake).await {
        Ok(Ok(connection)) => {
            let mut serving = Box::new(Serving::new(client, connection, watch));
            serving.run().await;
            serving.end().await;
        }
        // Whoever does not begin as RFC 9113 demands is told nothing.
        Ok(Err(_)) => {}
        Err(_) => client.worker.counts().timed_out(TimeoutKind::Head),
    }
}

fn settings(listener: &Listener) -> Builder {
    let limits = &listener.http2;
    let mut builder = Builder::new();
    builder
        .initial_window_size(limits.stream_window_bytes)
        .initial_connection_window_size(limits.connection_window_bytes)
        .max_concurrent_streams(limits.max_streams)
        .max_pending_accept_reset_streams(limits.max_pending_resets as usize)
        .max_local_error_reset_streams(Some(limits.max_stream_errors as usize * ERRORS_KEPT))
        .max_send_buffer_size(SEND_BUFFER)
        .max_header_list_size(header_list(listener));
    builder
}

/// Above `max_header_bytes` a request is still read and refused with 431; far above it the codec answers by itself.
fn header_list(listener: &Listener) -> u32 {
    let fields = MAX_HEADERS as u32 * PER_FIELD;
    listener.max_header_bytes.saturating_mul(2).saturating_add(fields)
}

struct Serving<'a, S> {
    client: Client<'a>,
    connection: Connection<Watched<S>, Piece>,
    watch: Rc<RefCell<Watch>>,
    streams: JoinSet<()>,
    /// As the client was told when the connection began.
    max_streams: usize,
    waiting: Waiting,
    since: Instant,
    is_leaving: bool,
    carrier: Carrier,
}

impl<'a, S: AsyncRead + AsyncWrite + Unpin> Serving<'a, S> {
    fn new(client: Client<'a>, connection: Connection<Watched<S>, Piece>, watch: Rc<RefCell<Watch>>) -> Self {
        let (peer, leave) = (client.peer.clone(), Rc::clone(&client.guard.leave));
        let carrier = Carrier { peer, leave, is_cut: Rc::default() };
        Self {
            max_streams: client.guard.listener.http2.max_streams as usize,
            client,
            connection,
            watch,
            streams: JoinSet::new(),
            waiting: Waiting::FirstRequest,
            since: Instant::now(),
            is_leaving: false,
            carrier,
        }
    }

    async fn run(&mut self) {
        loop {
            match poll_fn(|context| self.poll(context)).await {
                Event::Opened(opened) => self.open(*opened),
                Event::Leave => self.leave(),
                Event::Flood(flood) => {
                    self.watch.borrow().counts().flooded(flood);
                    self.close(Reason::ENHANCE_YOUR_CALM);
                }
                Event::Late(Late::Client(kind)) => {
                    self.client.worker.counts().timed_out(kind);
                    if kind == TimeoutKind::Write {
                        break;
                    }
                    self.close(Reason::NO_ERROR);
                }
                Event::Late(Late::Close) | Event::Ended => break,
            }
        }
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Event> {
        if !self.is_leaving && self.client.guard.leave.poll(context).is_ready() {
            return Poll::Ready(Event::Leave);
        }
        while let Poll::Ready(Some(_)) = self.streams.poll_join_next(context) {}
        if let Poll::Ready(event) = self.poll_connection(context) {
            return Poll::Ready(event);
        }
        let flood = self.watch.borrow().flood.filter(|_| self.waiting != Waiting::Close);
        if let Some(flood) = flood {
            return Poll::Ready(Event::Flood(flood));
        }
        self.settle();
        let Some((deadline, late)) = self.deadline() else { return Poll::Pending };
        self.client.timer.set(deadline);
        self.client.timer.poll(context).map(|()| Event::Late(late))
    }

    /// Streams over the maximum stay with the codec until others have ended: one that is reset at once no longer counts
    /// there, but its task may still be at work.
    fn poll_connection(&mut self, context: &mut Context<'_>) -> Poll<Event> {
        let ended = if self.streams.len() < self.max_streams {
            match self.connection.poll_accept(context) {
                Poll::Ready(Some(Ok(opened))) => return Poll::Ready(Event::Opened(Box::new(opened))),
                Poll::Ready(Some(Err(error))) => Poll::Ready(Err(error)),
                Poll::Ready(None) => Poll::Ready(Ok(())),
                Poll::Pending => Poll::Pending,
            }
        } else {
            self.connection.poll_closed(context)
        };
        ended.map(|ended| {
            let watch = self.watch.borrow();
            if let Some(flood) = ended.err().and_then(|error| watch.flood_of(&error)) {
                watch.counts().flooded(flood);
            }
            Event::Ended
        })
    }

    fn settle(&mut self) {
        let is_idle = self.streams.is_empty();
        self.client.is_idle.set(is_idle);
        match self.waiting {
            Waiting::Streams if is_idle => self.wait_for(Waiting::Requests),
            Waiting::FirstRequest | Waiting::Requests if !is_idle => self.waiting = Waiting::Streams,
            Waiting::FirstRequest | Waiting::Requests | Waiting::Streams | Waiting::Close => {}
        }
    }

    fn wait_for(&mut self, whom: Waiting) {
        self.waiting = whom;
        self.since = Instant::now();
    }

    /// When the connection ends by itself, whatever its streams do, and why.
    fn deadline(&self) -> Option<(Instant, Late)> {
        let listener = &self.client.guard.listener;
        let own = match self.waiting {
            Waiting::FirstRequest => {
                Some((self.since + listener.header_timeout, Late::Client(TimeoutKind::Head)))
            }
            Waiting::Requests => Some((self.since + listener.idle_timeout, Late::Client(TimeoutKind::Idle))),
            Waiting::Streams => None,
            Waiting::Close => return Some((self.since + LAST_FRAMES, Late::Close)),
        };
        let watch = self.watch.borrow();
        let head = watch.incomplete.map(|since| (since + listener.header_timeout, TimeoutKind::Head));
        // A little later than its streams, which know better what became of them.
        let patience = listener.write_timeout + LAST_FRAMES;
        let write = watch.blocked.map(|since| (since + patience, TimeoutKind::Write));
        let theirs = [head, write].into_iter().flatten().map(|(at, kind)| (at, Late::Client(kind)));
        theirs.chain(own).min_by_key(|(at, _)| *at)
    }

    /// A request sees the configuration of its beginning. Where the listener is gone, its last settings hold.
    fn open(&mut self, opened: Opened) {
        let Client { worker, guard, .. } = &mut self.client;
        let Some(snapshot) = worker.node.snapshot() else { return };
        guard.follow(&snapshot);
        let now = Instant::now();
        let facts = Facts { now, unix_ms: worker.unix_ms(now), random: fastrand::u64(..) };
        let slow = self.watch.borrow_mut().heads.began(opened.1.stream_id().as_u32());
        let (began, began_ms) = slow.map_or((now, facts.unix_ms), |began| (began, worker.unix_ms(began)));
        let listener = Arc::clone(&guard.listener);
        let visit = Visit { snapshot, listener, began, began_ms, facts, close: false };
        let stream = stream::serve(Rc::clone(worker), visit, opened, self.carrier.clone());
        self.streams.spawn_local(stream);
    }

    /// Tells the client to send nothing new here; what is under way is served (RFC 9113 section 6.8).
    fn leave(&mut self) {
        self.is_leaving = true;
        self.connection.graceful_shutdown();
    }

    /// Tells the client so and ends, whatever is under way.
    fn close(&mut self, reason: Reason) {
        self.connection.abrupt_shutdown(reason);
        self.wait_for(Waiting::Close);
    }

    /// Streams that were answered to their end may not know it yet; the others have lost their client.
    async fn end(self: Box<Self>) {
        let Self { connection, mut streams, carrier, .. } = *self;
        drop(connection);
        carrier.is_cut.set(true);
        let settled = async { while streams.join_next().await.is_some() {} };
        // Those that are left are dropped, and recorded as what they are.
        let _ = tokio::time::timeout(LAST_STREAMS, settled).await;
    }
}
