//! A client's connection that speaks HTTP/2: streams in, each to a task of its own, until one side has had enough.

mod exchange;
mod head;
pub mod piece;
pub mod seat;
mod stream;

use std::cell::Cell;
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
use crate::record::TimeoutKind;
use crate::request::Peer;
use crate::snapshot::Listener;
use crate::worker::Worker;
use piece::Piece;
use stream::Opened;

/// Bytes of one stream that may be on their way to us without having been consumed.
const STREAM_WINDOW: u32 = 256 * 1024;
/// The same for all streams of a connection together.
const CONNECTION_WINDOW: u32 = 1024 * 1024;
/// Bytes of one stream that the codec may keep until the client takes them.
const SEND_BUFFER: usize = 64 * 1024;
/// How long the end of a connection may take.
const LAST_FRAMES: Duration = Duration::from_secs(1);
/// Streams that a client may have open at once.
const MAX_STREAMS: u32 = 100;
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

/// What a connection is waiting for. Each has its own deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waiting {
    FirstRequest,
    Requests,
    /// Streams are open, and each has its own deadlines.
    Streams,
    /// That the client takes our last frames.
    Close,
}

enum Event {
    Opened(Box<Opened>),
    /// The node drains, or the listener is gone.
    Leave,
    Late,
    Ended,
}

/// Serves a connection whose preface is still to be read, until it ends.
pub async fn serve<S: AsyncRead + AsyncWrite + Unpin>(client: Client<'_>, stream: S) {
    let builder = settings(&client.guard.listener);
    let patience = client.guard.listener.header_timeout;
    let handshake = builder.handshake::<_, Piece>(stream);
    match tokio::time::timeout(patience, handshake).await {
        Ok(Ok(connection)) => Serving::new(client, connection).run().await,
        // Whoever does not begin as RFC 9113 demands is told nothing.
        Ok(Err(_)) => {}
        Err(_) => client.worker.counts().timed_out(TimeoutKind::Head),
    }
}

fn settings(listener: &Listener) -> Builder {
    let mut builder = Builder::new();
    builder
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_concurrent_streams(MAX_STREAMS)
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
    connection: Connection<S, Piece>,
    streams: JoinSet<()>,
    waiting: Waiting,
    is_leaving: bool,
    is_cut: Rc<Cell<bool>>,
}

impl<'a, S: AsyncRead + AsyncWrite + Unpin> Serving<'a, S> {
    fn new(client: Client<'a>, connection: Connection<S, Piece>) -> Self {
        let (streams, is_cut) = (JoinSet::new(), Rc::default());
        let waiting = Waiting::FirstRequest;
        Self { client, connection, streams, waiting, is_leaving: false, is_cut }
    }

    async fn run(mut self) {
        self.wait_for(Waiting::FirstRequest);
        loop {
            match poll_fn(|context| self.poll(context)).await {
                Event::Opened(opened) => self.open(*opened),
                Event::Leave => self.leave(),
                Event::Late if self.waiting == Waiting::Close => break,
                Event::Late => self.close(),
                Event::Ended => break,
            }
        }
        self.end().await;
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Event> {
        if !self.is_leaving && self.client.guard.leave.poll(context).is_ready() {
            return Poll::Ready(Event::Leave);
        }
        while let Poll::Ready(Some(_)) = self.streams.poll_join_next(context) {}
        if let Poll::Ready(event) = self.poll_connection(context) {
            return Poll::Ready(event);
        }
        self.settle();
        if self.waiting == Waiting::Streams {
            return Poll::Pending;
        }
        self.client.timer.poll(context).map(|()| Event::Late)
    }

    /// Streams over the maximum stay with the codec until others have ended: one that is reset at once no longer counts
    /// there, but its task may still be at work.
    fn poll_connection(&mut self, context: &mut Context<'_>) -> Poll<Event> {
        if self.streams.len() >= MAX_STREAMS as usize {
            return self.connection.poll_closed(context).map(|_| Event::Ended);
        }
        self.connection.poll_accept(context).map(|accepted| match accepted {
            Some(Ok(opened)) => Event::Opened(Box::new(opened)),
            Some(Err(_)) | None => Event::Ended,
        })
    }

    fn settle(&mut self) {
        let is_idle = self.streams.is_empty();
        self.client.is_idle.set(is_idle);
        match self.waiting {
            Waiting::Streams if is_idle => self.wait_for(Waiting::Requests),
            Waiting::Requests if !is_idle => self.waiting = Waiting::Streams,
            Waiting::FirstRequest if !is_idle => self.waiting = Waiting::Streams,
            Waiting::FirstRequest | Waiting::Requests | Waiting::Streams | Waiting::Close => {}
        }
    }

    fn wait_for(&mut self, whom: Waiting) {
        self.waiting = whom;
        let listener = &self.client.guard.listener;
        let patience = match whom {
            Waiting::FirstRequest => listener.header_timeout,
            Waiting::Requests => listener.idle_timeout,
            Waiting::Streams => return,
            Waiting::Close => LAST_FRAMES,
        };
        self.client.timer.set(Instant::now() + patience);
    }

    /// A request sees the configuration of its beginning. Where the listener is gone, its last settings hold.
    fn open(&mut self, opened: Opened) {
        let Client { worker, guard, peer, .. } = &mut self.client;
        let Some(snapshot) = worker.node.snapshot() else { return };
        guard.follow(&snapshot);
        let now = Instant::now();
        let facts = Facts { now, unix_ms: worker.unix_ms(now) };
        let visit = Visit { snapshot, listener: Arc::clone(&guard.listener), facts, close: false };
        let stream = stream::serve(Rc::clone(worker), visit, opened, Rc::clone(&self.is_cut), peer.clone());
        self.streams.spawn_local(stream);
    }

    /// Tells the client to send nothing new here; what is under way is served (RFC 9113 section 6.8).
    fn leave(&mut self) {
        self.is_leaving = true;
        self.connection.graceful_shutdown();
    }

    fn close(&mut self) {
        let kind = if self.waiting == Waiting::FirstRequest { TimeoutKind::Head } else { TimeoutKind::Idle };
        self.client.worker.counts().timed_out(kind);
        self.connection.abrupt_shutdown(Reason::NO_ERROR);
        self.wait_for(Waiting::Close);
    }

    /// Streams that were answered to their end may not know it yet; the others have lost their client.
    async fn end(self) {
        let Self { connection, mut streams, is_cut, .. } = self;
        drop(connection);
        is_cut.set(true);
        let settled = async { while streams.join_next().await.is_some() {} };
        // Those that are left are dropped, and recorded as what they are.
        let _ = tokio::time::timeout(LAST_FRAMES, settled).await;
    }
}
