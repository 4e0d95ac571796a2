//! The tunnel: both directions of a connection that has become a WebSocket, until one side, a limit, or the node ends it.

use std::cell::RefCell;
use std::future::poll_fn;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use crate::io::buffer::Buffers;
use crate::io::timer::Timer;
use crate::record::{Closed, WebSocketSlot};
use crate::websocket::Settings;
use crate::websocket::frames::{Frames, close_frame};
use crate::websocket::lane::Lane;
use crate::websocket::places::Place;
use crate::websocket::rate::Rates;
use crate::websocket::side::Side;

/// How long the other side of an end may take: to answer a close frame, to close its connection.
const GRACE: Duration = Duration::from_secs(5);
/// TCP keepalive of the client's connection; that of the service's was set when it was opened.
const KEEPALIVE: Duration = Duration::from_secs(30);

/// Who speaks with whom.
pub struct Ends<'a> {
    pub client: Box<dyn Side + 'a>,
    pub service: Box<dyn Side + 'a>,
}

/// What came through so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Passed {
    /// Of the client.
    pub bytes_in: u64,
    pub bytes_out: u64,
    pub messages_in: u64,
    pub messages_out: u64,
}

struct Tunnel<'a> {
    ends: Ends<'a>,
    buffers: &'a RefCell<Buffers>,
    counts: &'a WebSocketSlot,
    inward: Lane,
    outward: Lane,
    idle_timeout: Duration,
    passed: &'a mut Passed,
    /// Who sent the first close frame, or what made us send one.
    closed: Option<Closed>,
    is_ours: bool,
    has_grace: bool,
}

/// Runs until both directions have ended, and says why. `leave` is ready when the node wants the connection to end.
pub async fn run(
    ends: Ends<'_>,
    (settings, place): (&Settings, &Place),
    (buffers, counts): (&RefCell<Buffers>, &WebSocketSlot),
    (timer, passed): (&mut Timer, &mut Passed),
    mut leave: impl FnMut(&mut Context<'_>) -> Poll<()>,
) -> Closed {
    ends.client.keep_alive(KEEPALIVE);
    let mut tunnel = Tunnel {
        ends,
        buffers,
        counts,
        inward: Lane::new(Frames::new(settings.max_message, place.rates(settings))),
        outward: Lane::new(Frames::new(settings.max_message, Rates::default())),
        idle_timeout: settings.idle_timeout,
        passed,
        closed: None,
        is_ours: false,
        has_grace: false,
    };
    timer.set(Instant::now() + settings.idle_timeout);
    let closed = poll_fn(|context| tunnel.poll(context, timer, &mut leave)).await;
    poll_fn(|context| tunnel.ends.hang_up(context)).await;
    closed
}

impl Ends<'_> {
    /// The end of a connection is that nobody holds it any more; a stream has to be told, or it would be reset.
    fn hang_up(&mut self, context: &mut Context<'_>) -> Poll<()> {
        for side in [&mut self.client, &mut self.service] {
            // Whoever takes nothing any more is not waited for.
            let _ = side.poll_shutdown(context);
        }
        Poll::Ready(())
    }
}

impl Tunnel<'_> {
    fn poll(
        &mut self,
        context: &mut Context<'_>,
        timer: &mut Timer,
        leave: &mut impl FnMut(&mut Context<'_>) -> Poll<()>,
    ) -> Poll<Closed> {
        if !self.is_ours && leave(context).is_ready() {
            self.close(Closed::Draining);
            // It is the node's own deadline that cuts those which do not end.
            timer.set(Instant::now() + self.idle_timeout.max(GRACE));
        }
        loop {
            self.poll_lanes(context, timer);
            let excess = self.inward.excess().or(self.outward.excess());
            if let Some(closed) = excess {
                self.close(closed);
                timer.set(Instant::now() + GRACE);
                continue;
            }
            if self.inward.is_done() && self.outward.is_done() {
                return Poll::Ready(self.closed.unwrap_or(Closed::ClientGone));
            }
            self.give_grace(timer);
            if timer.poll(context).is_pending() {
                return Poll::Pending;
            }
            if self.is_ours || self.has_grace {
                return Poll::Ready(self.closed.unwrap_or(Closed::Idle));
            }
            self.close(Closed::Idle);
            timer.set(Instant::now() + GRACE);
        }
    }

    fn poll_lanes(&mut self, context: &mut Context<'_>, timer: &mut Timer) {
        let before = self.inward.moved() + self.outward.moved();
        let Self { ends: Ends { client, service }, buffers, inward, .. } = self;
        let _ = inward.poll(context, &mut **client, &mut **service, buffers);
        self.note(Closed::Client, Closed::ClientGone);
        let Self { ends: Ends { client, service }, buffers, outward, .. } = self;
        let _ = outward.poll(context, &mut **service, &mut **client, buffers);
        self.note(Closed::Service, Closed::ServiceGone);
        let has_moved = self.inward.moved() + self.outward.moved() > before;
        if has_moved && !self.is_ours && !self.has_grace {
            timer.set(Instant::now() + self.idle_timeout);
        }
        let passed = Passed {
            bytes_in: self.inward.moved(),
            bytes_out: self.outward.moved(),
            messages_in: self.inward.frames().messages(),
            messages_out: self.outward.frames().messages(),
        };
        let before = std::mem::replace(self.passed, passed);
        let new = [passed.messages_in - before.messages_in, passed.messages_out - before.messages_out];
        self.counts.passed(new);
    }

    /// The first cause stands: what follows from it is none.
    fn note(&mut self, closed: Closed, gone: Closed) {
        let lane = if closed == Closed::Client { &self.inward } else { &self.outward };
        if self.closed.is_none() {
            let cause = if lane.frames().has_closed() { Some(closed) } else { None };
            self.closed = cause.or_else(|| lane.has_ended().then_some(gone));
        }
    }

    /// Once one side has ended, or both have said goodbye, the rest must not take long.
    fn give_grace(&mut self, timer: &mut Timer) {
        let (inward, outward) = (&self.inward, &self.outward);
        let is_over = if self.is_ours {
            inward.has_told() && outward.has_told()
        } else {
            let both_closed = inward.frames().has_closed() && outward.frames().has_closed();
            both_closed || [inward, outward].iter().any(|lane| lane.has_ended() || lane.is_done())
        };
        if is_over && !self.has_grace {
            self.has_grace = true;
            timer.set(Instant::now() + GRACE);
        }
    }

    /// Tells both sides why the connection ends.
    fn close(&mut self, closed: Closed) {
        let (code, reason) = match closed {
            Closed::MessageTooLarge => (1009, "message too large"),
            Closed::TooManyMessages => (1008, "too many messages"),
            Closed::Malformed => (1002, "malformed frame"),
            Closed::Idle => (1001, "idle for too long"),
            Closed::Draining
            | Closed::Client
            | Closed::Service
            | Closed::ClientGone
            | Closed::ServiceGone
            | Closed::Stopped => (1001, "going away"),
        };
        self.is_ours = true;
        self.has_grace = false;
        self.closed = self.closed.or(Some(closed));
        self.inward.close(close_frame(code, reason, Some(fastrand::u32(..).to_be_bytes())));
        self.outward.close(close_frame(code, reason, None));
    }
}
