//! One client's connection: read a head, let the pipeline answer, again, until one side has had enough.

use std::cell::Cell;
use std::future::poll_fn;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use crate::io::stream::Stream;
use crate::io::timer::Timer;
use crate::listener::accept::Guard;
use crate::listener::handshake;
use crate::listener::http1::Http1;
use crate::listener::http2;
use crate::listener::preface::{self, Verdict};
use crate::listener::proxy_protocol::introduce;
use crate::listener::ticket::Full;
use crate::pipeline::account::Visit;
use crate::pipeline::end::End;
use crate::pipeline::{self, Facts, Local};
use crate::record::TimeoutKind;
use crate::refusal::Refusal;
use crate::request::{Peer, Request};
use crate::snapshot::{Listener, Snapshot};
use crate::websocket::side::Side;
use crate::worker::Worker;

/// The answer to a connection over a maximum. There is no request yet: none is read, and none is recorded.
pub fn too_many(peer: IpAddr, full: Full) -> Vec<u8> {
    let whose = match full {
        Full::Listener => "the listener has its maximum of connections",
        Full::Client => "this client has its maximum of connections",
    };
    let mut request = Request::new(peer);
    pipeline::identify(&mut request);
    let id = request.id();
    let body = format!(
        "{{\"error\":\"overloaded\",\"message\":\"{whose}\",\
         \"request_id\":\"{id}\",\"retry_after\":1}}\n"
    );
    format!(
        "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\nretry-after: 1\r\n\
         x-request-id: {id}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// After a refusal the client may still be sending; reading some of it lets the answer arrive (RFC 9112 section 9.6).
const LINGER_BYTES: usize = 256 * 1024;
const LINGER: Duration = Duration::from_secs(1);
/// TCP keepalive of a connection that carries streams, which may be open for long and say nothing.
const KEEPALIVE: Duration = Duration::from_secs(30);

struct Client {
    worker: Rc<Worker>,
    guard: Guard,
    is_idle: Rc<Cell<bool>>,
    exchange: Http1,
    request: Request,
    local: Local,
}

/// What a connection's next head turned out to be.
enum Head {
    /// The connection speaks HTTP/2.
    Preface,
    Request(Visit),
    Refused(Visit, Refusal),
    Closed,
}

/// Serves a connection until it ends.
pub async fn serve(
    worker: Rc<Worker>,
    mut guard: Guard,
    is_idle: Rc<Cell<bool>>,
    mut stream: Stream,
    peer: IpAddr,
) {
    let Some(introduced) = introduce(&worker, &mut guard, &is_idle, &mut stream, peer).await else { return };
    let Some((stream, secured)) = handshake::open(&worker, &guard, &is_idle, stream).await else { return };
    let mut local = Local::new(Instant::now() + LINGER);
    local.leave = Rc::clone(&guard.leave);
    let (mut exchange, mut request) = (Http1::new(stream), Request::new(introduced.peer));
    if !introduced.early.is_empty() {
        exchange.input = worker.links.buffers.borrow_mut().small();
        exchange.input.put(&introduced.early);
    }
    request.secured = secured;
    let mut client = Client { worker, guard, is_idle, exchange, request, local };
    if client.run().await == Ended::Preface {
        // A task of its own, so that neither protocol's connections have room for what the other's need.
        let (worker, id) = (Rc::clone(&client.worker), client.guard.id);
        client.local.timer.moved();
        let task = tokio::task::spawn_local(async move { client.speak_http2().await });
        worker.hand_over(id, task.abort_handle());
    }
}

/// Why this side of a connection is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    Closed,
    /// HTTP/2 is spoken from here on.
    Preface,
}

impl Client {
    async fn run(&mut self) -> Ended {
        let mut is_first = true;
        loop {
            match self.next_head(std::mem::take(&mut is_first)).await {
                Head::Closed => return Ended::Closed,
                Head::Preface => return Ended::Preface,
                Head::Refused(visit, refusal) => {
                    self.refuse(&visit, refusal).await;
                    self.linger().await;
                    return Ended::Closed;
                }
                Head::Request(visit) => self.answer(&visit).await,
            }
            if !self.exchange.keeps_alive() {
                // A client that asked for the close and was read to its end sends nothing more that a close could reset.
                if self.request.keep_alive || !self.exchange.is_read_to_its_end() {
                    self.linger().await;
                }
                return Ended::Closed;
            }
        }
    }

    /// A client that knows beforehand that HTTP/2 is spoken here says so with its first bytes (RFC 9113 section 3.3).
    /// Waits for all of them where they may be the preface; open where they do not come.
    async fn protocol(&mut self, coming: &mut Coming) -> Verdict {
        let secured = self.request.secured.as_ref();
        match secured.and_then(|secured| secured.protocol.as_deref()) {
            // Whoever agreed on one in the handshake must not be taken at another word behind it.
            Some(b"h2") => return Verdict::Http2,
            Some(b"http/1.1") => return Verdict::Http1,
            Some(_) | None if !self.guard.listener.protocols.http1 => return Verdict::Http2,
            Some(_) | None => {}
        }
        let Self { exchange, local, guard, worker, .. } = self;
        local.timer.set(coming.began + guard.listener.header_timeout);
        poll_fn(|context| {
            loop {
                let verdict = preface::begins(exchange.input.data());
                if verdict != Verdict::Open {
                    return Poll::Ready(verdict);
                }
                match ready!(coming.poll_more(exchange, &mut local.timer, context)) {
                    More::Bytes => {}
                    More::End => return Poll::Ready(Verdict::Open),
                    More::Late => {
                        worker.counts().timed_out(TimeoutKind::Head);
                        return Poll::Ready(Verdict::Open);
                    }
                }
            }
        })
        .await
    }

    async fn speak_http2(&mut self) {
        let Self { worker, guard, is_idle, exchange, request, local } = self;
        let peer = Peer { address: request.peer, secured: request.secured.clone() };
        exchange.raw().keep_alive(KEEPALIVE);
        worker.links.buffers.borrow_mut().give_back(exchange.input.fit());
        let client = http2::Client { worker, guard, is_idle, timer: &mut local.timer, peer };
        http2::serve(client, exchange.raw()).await;
        self.linger().await;
    }

    async fn answer(&mut self, visit: &Visit) {
        self.exchange.expect(&self.request);
        self.local.account.begin(visit);
        self.worker.counts().in_flight.add(1);
        let serving = Serving { client: self, visit };
        let Self { worker, exchange, request, local, .. } = &mut *serving.client;
        let intact = pipeline::answer(worker, visit, request, exchange, local).await;
        if !intact {
            exchange.give_up();
        }
    }

    async fn refuse(&mut self, visit: &Visit, refusal: Refusal) {
        let Self { worker, exchange, request, local, .. } = self;
        exchange.expect_nothing();
        local.account.begin(visit);
        pipeline::reject(worker, visit, request, refusal, (exchange, local)).await;
    }

    /// Waits for a request and reads its head. The configuration is that of its first byte.
    async fn next_head(&mut self, is_first: bool) -> Head {
        if self.exchange.input.is_empty() {
            let listener = &self.guard.listener;
            let wait = if is_first { listener.header_timeout } else { listener.idle_timeout };
            if !self.wait_for_byte(wait, is_first).await {
                return Head::Closed;
            }
        }
        let mut coming = Coming { began: Instant::now(), at_once: true };
        if is_first && self.guard.listener.protocols.http2 {
            match self.protocol(&mut coming).await {
                Verdict::Http1 => {}
                Verdict::Http2 => return Head::Preface,
                Verdict::Open => return Head::Closed,
            }
        }
        let Some((snapshot, is_open)) = self.settings() else { return Head::Closed };
        let listener = Arc::clone(&self.guard.listener);
        let (began, began_ms) = (coming.began, self.worker.unix_ms(coming.began));
        let facts = Facts { now: began, unix_ms: began_ms, random: fastrand::u64(..) };
        let close = !is_open || self.worker.node.is_draining();
        let mut visit = Visit { snapshot, listener, began, began_ms, facts, close };
        self.local.timer.set(began + visit.listener.header_timeout);
        let read = self.read_head(&visit.listener, &mut coming).await;
        if !coming.at_once {
            visit.has_waited(&self.worker, Instant::now());
        }
        match read {
            Ok(true) => Head::Request(visit),
            Ok(false) => Head::Closed,
            Err(refusal) => Head::Refused(visit, refusal),
        }
    }

    /// The live configuration, and whether the listener is still in it. Where it is not, the next request is the last
    /// and is served as the listener was configured at its end.
    fn settings(&mut self) -> Option<(Arc<Snapshot>, bool)> {
        let snapshot = self.worker.node.snapshot()?;
        let is_open = self.guard.follow(&snapshot);
        Some((snapshot, is_open))
    }

    /// An idle connection holds no buffer. False when it ended or idled too long.
    async fn wait_for_byte(&mut self, patience: Duration, is_first: bool) -> bool {
        let buffers = &self.worker.links.buffers;
        buffers.borrow_mut().give_back(std::mem::take(&mut self.exchange.input));
        self.exchange.rest();
        self.local.rest();
        let since = self.local.account.ended_at().unwrap_or_else(Instant::now);
        self.local.timer.set(since + patience);
        self.is_idle.set(true);
        // While the service was waited for, somebody looked already, and this same task is woken.
        let mut is_watched = self.exchange.is_watched();
        let (exchange, timer) = (&mut self.exchange, &mut self.local.timer);
        let has_begun = poll_fn(|context| {
            if !std::mem::take(&mut is_watched) {
                // Read, not asked whether there is something to read: the runtime takes every new connection for readable.
                exchange.input = buffers.borrow_mut().small();
                if let Poll::Ready(result) = exchange.poll_fill(context) {
                    return Poll::Ready(result.is_ok_and(|count| count > 0));
                }
                buffers.borrow_mut().give_back(std::mem::take(&mut exchange.input));
            }
            timer.poll(context).map(|()| {
                let kind = if is_first { TimeoutKind::Head } else { TimeoutKind::Idle };
                self.worker.counts().timed_out(kind);
                false
            })
        })
        .await;
        self.is_idle.set(false);
        has_begun
    }

    /// False when the client left before a head was complete.
    async fn read_head(&mut self, listener: &Listener, coming: &mut Coming) -> Result<bool, Refusal> {
        let mut scanned = 0;
        let Self { exchange, request, local, .. } = self;
        let peer = request.peer;
        poll_fn(|context| {
            loop {
                if !exchange.input.is_empty()
                    && let Some(length) =
                        pipeline::receive(exchange.input.data(), &mut scanned, listener, peer, request)?
                {
                    exchange.input.consume(length);
                    return Poll::Ready(Ok(true));
                }
                if exchange.input.room().is_empty() {
                    exchange.input.grow(listener.max_header_bytes as usize + 1);
                }
                match coming.poll_more(exchange, &mut local.timer, context) {
                    Poll::Ready(More::Bytes) => {}
                    Poll::Ready(More::End) => return Poll::Ready(Ok(false)),
                    // Nothing was asked, so there is nothing to answer.
                    Poll::Ready(More::Late) if exchange.input.is_empty() => return Poll::Ready(Ok(false)),
                    Poll::Ready(More::Late) => {
                        pipeline::identify(request);
                        return Poll::Ready(Err(Refusal::Slow("head")));
                    }
                    Poll::Pending => return Poll::Pending,
                }
            }
        })
        .await
    }

    /// Ends the connection so that the last answer arrives although the client may still be sending.
    async fn linger(&mut self) {
        let (exchange, timer) = (&mut self.exchange, &mut self.local.timer);
        if !exchange.may_linger() || poll_fn(|context| exchange.poll_shutdown(context)).await.is_err() {
            return;
        }
        timer.set(Instant::now() + LINGER);
        let mut left = LINGER_BYTES;
        poll_fn(|context| {
            loop {
                exchange.input.consume(usize::MAX);
                match ready!(poll_more(exchange, timer, context)) {
                    More::Bytes if left > exchange.input.data().len() => left -= exchange.input.data().len(),
                    More::Bytes | More::End | More::Late => return Poll::Ready(()),
                }
            }
        })
        .await;
    }
}

/// A request being served. It is counted out and recorded however that ends: a panic, and the end of the worker, too.
struct Serving<'a> {
    client: &'a mut Client,
    visit: &'a Visit,
}

impl Drop for Serving<'_> {
    fn drop(&mut self) {
        let Client { worker, exchange, request, local, .. } = &mut *self.client;
        worker.counts().in_flight.subtract(1);
        if local.account.ended_at().is_none() {
            let end = End::of_abandoned();
            pipeline::abandon(worker, self.visit, request, end, (exchange, local));
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let input = std::mem::take(&mut self.exchange.input);
        if let Ok(mut buffers) = self.worker.links.buffers.try_borrow_mut() {
            buffers.give_back(input);
        }
    }
}

/// How a head comes.
struct Coming {
    /// Its first byte was there.
    began: Instant,
    /// Nothing of it had to be waited for.
    at_once: bool,
}

impl Coming {
    fn poll_more(
        &mut self,
        exchange: &mut Http1,
        timer: &mut Timer,
        context: &mut Context<'_>,
    ) -> Poll<More> {
        let more = poll_more(exchange, timer, context);
        self.at_once &= more.is_ready();
        more
    }
}

enum More {
    Bytes,
    End,
    Late,
}

fn poll_more(exchange: &mut Http1, timer: &mut Timer, context: &mut Context<'_>) -> Poll<More> {
    match exchange.poll_fill(context) {
        Poll::Ready(Ok(count)) if count > 0 => Poll::Ready(More::Bytes),
        Poll::Ready(_) => Poll::Ready(More::End),
        Poll::Pending => timer.poll(context).map(|()| More::Late),
    }
}
