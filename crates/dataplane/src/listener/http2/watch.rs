//! Watches the frames of a connection, and says when a client sends too many of a kind that costs it nothing. The codec
//! bounds some of these by itself, and others not at all; here all have one measure.

use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::listener::http2::frames::{self, Frame, Frames};
use crate::listener::http2::heads::Heads;
use crate::listener::preface::PREFACE;
use crate::record::{Flood, Http2Slot, ListenerMetrics, ResetCause};
use crate::snapshot::Http2Limits;

/// This share of a maximum is forgiven each second.
const FORGIVEN: f64 = 0.1;
/// A request, and a DATA frame of ours, may each bring so many frames of their own with them, window updates above all.
const PAID_BY_WORK: u32 = 2;

/// Counts up to a maximum. The clock is read only where it is reached: what time has forgiven meanwhile does not count.
#[derive(Debug)]
struct Bucket {
    count: u32,
    since: Instant,
}

impl Bucket {
    fn overflows(&mut self, maximum: u32) -> bool {
        self.count += 1;
        if self.count <= maximum {
            return false;
        }
        let now = Instant::now();
        let seconds = now.saturating_duration_since(self.since).as_secs_f64();
        self.since = now;
        self.count = self.count.saturating_sub((f64::from(maximum) * seconds * FORGIVEN) as u32);
        self.count > maximum
    }

    fn pay(&mut self, frames: u32) {
        self.count = self.count.saturating_sub(frames);
    }
}

/// What both directions of a connection have shown so far.
#[derive(Debug)]
pub struct Watch {
    limits: Http2Limits,
    metrics: Arc<ListenerMetrics>,
    worker: usize,
    incoming: Frames,
    outgoing: Frames,
    resets: Bucket,
    errors: Bucket,
    overhead: Bucket,
    /// CONTINUATION frames of the head that is being received; `None` between heads.
    continuations: Option<u32>,
    pub heads: Heads,
    /// Since when something other than DATA is incomplete.
    pub incomplete: Option<Instant>,
    /// What is incomplete is the head of a frame, which is still unknown.
    is_unknown: bool,
    /// Since when the client takes nothing.
    pub blocked: Option<Instant>,
    pub flood: Option<Flood>,
    /// What came last of the kinds that the codec bounds by itself.
    last: Option<Frame>,
}

impl Watch {
    pub fn new(limits: Http2Limits, metrics: Arc<ListenerMetrics>, worker: usize) -> Self {
        let bucket = || Bucket { count: 0, since: Instant::now() };
        Self {
            limits,
            metrics,
            worker,
            incoming: Frames::behind(PREFACE.len()),
            outgoing: Frames::default(),
            resets: bucket(),
            errors: bucket(),
            overhead: bucket(),
            continuations: None,
            heads: Heads::default(),
            incomplete: None,
            is_unknown: false,
            blocked: None,
            flood: None,
            last: None,
        }
    }

    pub fn counts(&self) -> &Http2Slot {
        &self.metrics.worker(self.worker).http2
    }

    /// Which of its own bounds the codec has seen exceeded. It does not say; a flood is what came last.
    pub fn flood_of(&self, error: &h2::Error) -> Option<Flood> {
        if !error.is_library() || error.reason() != Some(h2::Reason::ENHANCE_YOUR_CALM) {
            return None;
        }
        Some(match self.last.map(|frame| (frame.kind, frame.length)) {
            Some((frames::HEADERS | frames::CONTINUATION, _)) => Flood::Headers,
            Some((frames::DATA, 0)) => Flood::EmptyData,
            Some((frames::DATA, _)) => Flood::SmallData,
            Some((frames::RST_STREAM, _)) => Flood::Resets,
            Some(_) | None => Flood::StreamErrors,
        })
    }

    /// How many of these bytes the codec may see.
    fn receive(&mut self, bytes: &[u8]) -> usize {
        let mut incoming = std::mem::take(&mut self.incoming);
        let kept = incoming.scan(bytes, |frame| {
            self.flood = self.received(frame);
            self.flood.is_none()
        });
        self.incomplete = self.since(&incoming);
        self.is_unknown = incoming.is_within_head();
        self.incoming = incoming;
        kept
    }

    /// Since when what is incomplete now has been so.
    fn since(&mut self, incoming: &Frames) -> Option<Instant> {
        if self.continuations.is_some() || incoming.is_within_fields() {
            return Some(self.heads.wait().or(self.incomplete).unwrap_or_else(Instant::now));
        }
        self.heads.end();
        let waits = incoming.is_within() && !incoming.is_within_data();
        waits.then(|| self.incomplete.unwrap_or_else(Instant::now))
    }

    fn received(&mut self, frame: Frame) -> Option<Flood> {
        // Of this frame where it was the one whose head was incomplete, and in any case of none after it.
        let since = self.incomplete.take().filter(|_| std::mem::take(&mut self.is_unknown));
        if matches!(frame.kind, frames::DATA | frames::HEADERS | frames::RST_STREAM | frames::CONTINUATION) {
            self.last = Some(frame);
        }
        let flood = match frame.kind {
            frames::HEADERS => {
                self.heads.end();
                self.heads.begin(frame.stream, since);
                self.overhead.pay(PAID_BY_WORK);
                self.continuations = (!frame.ends_headers()).then_some(0);
                return None;
            }
            frames::CONTINUATION => return self.continued(frame),
            frames::RST_STREAM => {
                self.counts().reset(ResetCause::Client);
                return self.resets.overflows(self.limits.max_resets).then_some(Flood::Resets);
            }
            frames::DATA if frame.length > 0 || frame.ends_stream() => return None,
            frames::DATA => Flood::EmptyData,
            frames::PRIORITY => Flood::Priority,
            frames::SETTINGS => Flood::Settings,
            frames::PING if frame.is_acknowledgement() => return None,
            frames::PING => Flood::Ping,
            frames::WINDOW_UPDATE => Flood::WindowUpdate,
            // GOAWAY, PUSH_PROMISE, which is refused, and all that is unknown and ignored.
            5 | frames::GOAWAY | 10.. => Flood::Other,
        };
        self.overhead.overflows(self.limits.max_overhead_frames).then_some(flood)
    }

    fn continued(&mut self, frame: Frame) -> Option<Flood> {
        let count = self.continuations.unwrap_or(0) + 1;
        self.continuations = (!frame.ends_headers()).then_some(count);
        (count > self.limits.max_continuations).then_some(Flood::Continuation)
    }

    fn send(&mut self, bytes: &[u8]) {
        let mut outgoing = std::mem::take(&mut self.outgoing);
        outgoing.scan(bytes, |frame| {
            self.sent(frame);
            true
        });
        self.outgoing = outgoing;
    }

    fn sent(&mut self, frame: Frame) {
        match frame.kind {
            frames::DATA => self.overhead.pay(PAID_BY_WORK),
            frames::RST_STREAM => {
                let cause = ResetCause::of_ours(frame.reason);
                self.counts().reset(cause);
                // Each made us begin a request in vain (CVE-2025-8671).
                let counts = matches!(cause, ResetCause::Malformed | ResetCause::Refused);
                if counts && self.errors.overflows(self.limits.max_stream_errors) {
                    self.flood = Some(Flood::StreamErrors);
                }
            }
            1..=2 | 4.. => {}
        }
    }

    fn wrote(&mut self, outcome: &Poll<io::Result<usize>>) -> usize {
        match outcome {
            Poll::Pending => {
                self.blocked.get_or_insert_with(Instant::now);
                0
            }
            Poll::Ready(Ok(count)) => {
                self.blocked = None;
                *count
            }
            Poll::Ready(Err(_)) => 0,
        }
    }
}

/// A stream between the client and the codec.
pub struct Watched<S> {
    pub stream: S,
    pub watch: Rc<RefCell<Watch>>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        target: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Self { stream, watch } = self.get_mut();
        let mut watch = watch.borrow_mut();
        if watch.flood.is_some() {
            // Whoever polls the connection sees this next, and closes it.
            return Poll::Pending;
        }
        let before = target.filled().len();
        ready!(Pin::new(stream).poll_read(context, target))?;
        let received = target.filled().get(before..).unwrap_or_default();
        if received.is_empty() {
            return Poll::Ready(Ok(()));
        }
        let kept = watch.receive(received);
        target.set_filled(before + kept);
        // Nothing read would be the end of the stream.
        if kept == 0 { Poll::Pending } else { Poll::Ready(Ok(())) }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let Self { stream, watch } = self.get_mut();
        let outcome = Pin::new(stream).poll_write(context, bytes);
        let mut watch = watch.borrow_mut();
        let count = watch.wrote(&outcome);
        watch.send(bytes.get(..count).unwrap_or_default());
        outcome
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let Self { stream, watch } = self.get_mut();
        let outcome = Pin::new(stream).poll_write_vectored(context, slices);
        let mut watch = watch.borrow_mut();
        let mut left = watch.wrote(&outcome);
        for slice in slices {
            let written = slice.get(..left).unwrap_or(slice);
            watch.send(written);
            left -= written.len();
        }
        outcome
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
