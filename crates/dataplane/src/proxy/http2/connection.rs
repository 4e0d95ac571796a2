//! One connection that carries many exchanges: how it is opened, and what keeps it moving.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;
use h2::client::{Builder, Connection as Driver, SendRequest};
use h2::{Ping, PingPong};
use tokio::time::Sleep;

use super::Settings;
use crate::io::stream::Stream;
use crate::proxy::writing::UPLOAD_WINDOW;
use crate::refusal::UpstreamFault;

/// What a service may send as one head before the crate stops reading it. Above our own limits, so that a head that is
/// merely too long is told from one that is malformed.
const LEAST_HEAD_BOUND: u32 = 64 * 1024;
/// Streams that we reset and whose late frames are still ignored; beyond it the connection is closed.
const RESET_STREAMS: usize = 1024;

/// A connection as the pool knows it. Streams that are under way keep it, too.
#[derive(Debug)]
pub struct Connection {
    send: RefCell<SendRequest<Bytes>>,
    pub streams: Cell<usize>,
    pub created: Instant,
    /// When the pool last found it in use.
    pub idle_since: Cell<Instant>,
    /// It has carried an exchange before, so the service may have closed it meanwhile.
    pub was_used: Cell<bool>,
    /// A stream began since the pool last looked.
    pub touched: Cell<bool>,
    pub is_secure: bool,
}

impl Connection {
    /// False once the service said that it takes no more, or the connection has ended.
    pub fn takes_more(&self) -> bool {
        let mut context = Context::from_waker(Waker::noop());
        // A handle that waits for nothing answers at once.
        matches!(self.send.borrow_mut().poll_ready(&mut context), Poll::Ready(Ok(())))
    }

    /// Streams at once, as far as both sides allow.
    pub fn room(&self, settings: &Settings) -> usize {
        settings.max_streams.min(self.send.borrow().current_max_send_streams())
    }

    /// The service has said that it takes extended CONNECTs (RFC 8441 section 3).
    pub fn takes_extended_connect(&self) -> bool {
        self.send.borrow().is_extended_connect_protocol_enabled()
    }

    pub fn handle(&self) -> SendRequest<Bytes> {
        self.send.borrow().clone()
    }
}

/// Greets the service and waits for its settings, so that its maximum of streams is known before the first.
pub async fn open(
    stream: Stream,
    (settings, head_bytes): (&Settings, usize),
    now: Instant,
) -> Result<(Rc<Connection>, Driver<Stream, Bytes>), UpstreamFault> {
    let (window, is_secure) = (settings.window, stream.is_secure());
    let greeting = Builder::new()
        .enable_push(false)
        .initial_window_size(window)
        // All streams together may have that much under way: a client that reads slowly must not stop the others.
        .initial_connection_window_size(connection_window(settings))
        .max_header_list_size(head_bound(head_bytes))
        .max_send_buffer_size(UPLOAD_WINDOW)
        .max_concurrent_reset_streams(RESET_STREAMS)
        .initial_max_send_streams(0)
        .handshake::<_, Bytes>(stream);
    let (send, mut driver) = greeting.await.map_err(|error| handshake_fault(&error))?;
    std::future::poll_fn(|context| match Pin::new(&mut driver).poll(context) {
        Poll::Ready(Err(error)) => Poll::Ready(Err(handshake_fault(&error))),
        Poll::Ready(Ok(())) => Poll::Ready(Err(UpstreamFault::ConnectionReset)),
        Poll::Pending if send.current_max_send_streams() > 0 => Poll::Ready(Ok(())),
        Poll::Pending => Poll::Pending,
    })
    .await?;
    let connection = Connection {
        send: RefCell::new(send),
        streams: Cell::new(0),
        created: now,
        idle_since: Cell::new(now),
        was_used: Cell::new(false),
        touched: Cell::new(false),
        is_secure,
    };
    Ok((Rc::new(connection), driver))
}

/// The crate adds 32 bytes for each field to what we count.
fn head_bound(head_bytes: usize) -> u32 {
    u32::try_from(head_bytes).unwrap_or(u32::MAX).saturating_mul(4).max(LEAST_HEAD_BOUND)
}

fn connection_window(settings: &Settings) -> u32 {
    let streams = u32::try_from(settings.max_streams).unwrap_or(u32::MAX);
    // The most that the protocol can express.
    settings.window.saturating_mul(streams).clamp(settings.window, (1 << 31) - 1)
}

fn handshake_fault(error: &h2::Error) -> UpstreamFault {
    if error.is_io() { UpstreamFault::ConnectionReset } else { UpstreamFault::InvalidResponse }
}

/// Moves a connection until it ends. `changed` is called once it takes no more streams, and dropped when it ends.
pub async fn drive(
    mut driver: Driver<Stream, Bytes>,
    connection: Weak<Connection>,
    settings: Settings,
    changed: impl Fn(),
) {
    let mut pulse = driver.ping_pong().map(|pings| Pulse::new(pings, settings));
    let mut takes_more = true;
    std::future::poll_fn(|context| {
        if Pin::new(&mut driver).poll(context).is_ready() {
            return Poll::Ready(());
        }
        let streams = connection.upgrade().map(|connection| {
            if takes_more && !connection.takes_more() {
                takes_more = false;
                changed();
            }
            connection.streams.get()
        });
        match &mut pulse {
            // Ending here drops the connection, and every stream of it learns that.
            Some(pulse) => pulse.poll(context, streams.unwrap_or(0) > 0),
            None => Poll::Pending,
        }
    })
    .await;
}

/// Finds out whether a peer that says nothing is still there.
struct Pulse {
    pings: PingPong,
    settings: Settings,
    sleep: Pin<Box<Sleep>>,
    is_asked: bool,
}

impl Pulse {
    fn new(pings: PingPong, settings: Settings) -> Self {
        let sleep = Box::pin(tokio::time::sleep(settings.ping_interval));
        Self { pings, settings, sleep, is_asked: false }
    }

    /// Ready when the peer did not answer in time. One without streams is not asked: it may idle in peace.
    fn poll(&mut self, context: &mut Context<'_>, has_streams: bool) -> Poll<()> {
        if self.is_asked && self.pings.poll_pong(context).is_ready() {
            self.is_asked = false;
            self.wait(self.settings.ping_interval);
        }
        while self.sleep.as_mut().poll(context).is_ready() {
            if self.is_asked {
                return Poll::Ready(());
            }
            self.is_asked = has_streams && self.pings.send_ping(Ping::opaque()).is_ok();
            let next = if self.is_asked { self.settings.ping_timeout } else { self.settings.ping_interval };
            self.wait(next);
            if self.is_asked && self.pings.poll_pong(context).is_ready() {
                self.is_asked = false;
            }
        }
        Poll::Pending
    }

    fn wait(&mut self, time: Duration) {
        self.sleep.as_mut().reset(tokio::time::Instant::now() + time);
    }
}
