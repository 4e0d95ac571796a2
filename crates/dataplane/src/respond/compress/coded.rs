//! An exchange whose answer may be compressed on its way: everything else is the client's own exchange.

use std::cell::RefCell;
use std::io;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, ready};

use crate::exchange::{BodyFault, Exchange, Piece, ResponseBody};
use crate::http1::response_head::ResponseHead;
use crate::http1::trailers::Trailers;
use crate::websocket::side::Side;

use super::{Algorithm, Encoder, Encoders};

/// Bytes that are compressed in one go.
const STEP: usize = 16 * 1024;
/// Bytes that are compressed before other connections of the worker get their turn.
const TURN: usize = 64 * 1024;

/// What compressing takes, on this worker and on the whole node.
#[derive(Clone, Copy)]
pub struct Means<'a> {
    pub encoders: &'a RefCell<Encoders>,
    pub under_way: &'a AtomicU32,
    pub maximum: u32,
}

/// An exchange, compressing once it is told to.
pub struct Coded<'a, E> {
    inner: &'a mut E,
    means: Means<'a>,
    coder: Option<Box<Coder<'a>>>,
}

struct Coder<'a> {
    means: Means<'a>,
    encoder: Option<Encoder>,
    /// Compressed, and not yet taken by the client.
    out: Vec<u8>,
    written: usize,
    /// Something was compressed that cannot be read before the next flush.
    is_dirty: bool,
    /// Since other connections had their turn.
    turn: usize,
    /// The body is complete: its end follows once everything before it is out.
    ending: Option<Option<Trailers>>,
    sizes: Sizes,
}

/// What compressing an answer came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    pub algorithm: Algorithm,
    pub before: u64,
    pub after: u64,
}

impl<'a, E: Exchange> Coded<'a, E> {
    pub fn new(inner: &'a mut E, means: Means<'a>) -> Self {
        Self { inner, means, coder: None }
    }

    /// The body that follows is compressed. False where as many are being compressed as may be: it goes as it is.
    pub fn compress(&mut self, algorithm: Algorithm, level: u32) -> bool {
        let means = self.means;
        if means.under_way.fetch_add(1, Ordering::Relaxed) >= means.maximum {
            means.under_way.fetch_sub(1, Ordering::Relaxed);
            return false;
        }
        let encoder = means.encoders.borrow_mut().take(algorithm, level).ok();
        let is_ready = encoder.is_some();
        let sizes = Sizes { algorithm, before: 0, after: 0 };
        let coder = Coder {
            means,
            encoder,
            out: Vec::new(),
            written: 0,
            is_dirty: false,
            turn: 0,
            ending: None,
            sizes,
        };
        // Where no compressor could be made, dropping this counts it out again.
        self.coder = is_ready.then(|| Box::new(coder));
        is_ready
    }

    /// `None` where nothing was compressed.
    pub fn sizes(&self) -> Option<Sizes> {
        self.coder.as_ref().map(|coder| coder.sizes)
    }
}

impl Coder<'_> {
    /// Ready once the client has taken all that is compressed.
    fn poll_drain<E: Exchange>(&mut self, inner: &mut E, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(rest) = self.out.get(self.written..).filter(|rest| !rest.is_empty()) {
            let count = ready!(inner.poll_send(context, rest))?;
            self.written += count;
            self.sizes.after += count as u64;
        }
        self.out.clear();
        self.written = 0;
        Poll::Ready(Ok(()))
    }

    fn poll_write<E: Exchange>(
        &mut self,
        inner: &mut E,
        context: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_drain(inner, context))?;
        if self.turn >= TURN {
            self.turn = 0;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let step = data.get(..STEP).unwrap_or(data);
        let Some(encoder) = &mut self.encoder else {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        };
        encoder.write(step, &mut self.out)?;
        self.turn += step.len();
        self.sizes.before += step.len() as u64;
        self.is_dirty = true;
        Poll::Ready(Ok(step.len()))
    }

    /// Nothing more is at hand: what is there must be of use to the client now.
    fn poll_flush<E: Exchange>(&mut self, inner: &mut E, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_drain(inner, context))?;
        if let Some(encoder) = self.encoder.as_mut().filter(|_| self.is_dirty) {
            self.is_dirty = false;
            encoder.flush(&mut self.out)?;
            ready!(self.poll_drain(inner, context))?;
        }
        if let Some(trailers) = self.ending.take() {
            inner.end(trailers.as_ref());
        }
        self.turn = 0;
        inner.poll_flush(context)
    }

    fn end(&mut self, trailers: Option<&Trailers>) {
        let Some(encoder) = self.encoder.take() else { return };
        self.is_dirty = false;
        // Without its end the body stays incomplete, and the connection is cut.
        let Ok(reusable) = encoder.finish(&mut self.out) else { return };
        if let Some(encoder) = reusable {
            self.means.encoders.borrow_mut().give_back(encoder);
        }
        self.ending = Some(trailers.cloned());
    }
}

impl Drop for Coder<'_> {
    fn drop(&mut self) {
        self.means.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

impl<E: Exchange> Exchange for Coded<'_, E> {
    fn poll_send(&mut self, context: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.coder {
            None => self.inner.poll_send(context, data),
            Some(coder) => coder.poll_write(self.inner, context, data),
        }
    }

    fn end(&mut self, trailers: Option<&Trailers>) {
        match &mut self.coder {
            None => self.inner.end(trailers),
            Some(coder) => coder.end(trailers),
        }
    }

    fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.coder {
            None => self.inner.poll_flush(context),
            Some(coder) => coder.poll_flush(self.inner, context),
        }
    }

    fn body_is_complete(&self) -> bool {
        self.inner.body_is_complete()
    }

    fn limit_body(&mut self, limit: u64) {
        self.inner.limit_body(limit);
    }

    fn body_in_hand(&self) -> usize {
        self.inner.body_in_hand()
    }

    fn poll_body(&mut self, context: &mut Context<'_>) -> Poll<Result<Piece<'_>, BodyFault>> {
        self.inner.poll_body(context)
    }

    fn consume_body(&mut self, count: usize) {
        self.inner.consume_body(count);
    }

    fn trailers(&self) -> Option<&Trailers> {
        self.inner.trailers()
    }

    fn poll_gone(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.inner.poll_gone(context)
    }

    fn begin(&mut self, status: u16) {
        self.inner.begin(status);
    }

    fn header(&mut self, name: &[u8], value: &[u8]) {
        self.inner.header(name, value);
    }

    fn header_lines(&mut self, lines: &[u8]) {
        self.inner.header_lines(lines);
    }

    fn end_head(&mut self, body: ResponseBody, close: bool) {
        self.inner.end_head(body, close);
    }

    fn interim(&mut self, head: &ResponseHead) {
        self.inner.interim(head);
    }

    fn upgrade(&mut self) -> Box<dyn Side + '_> {
        self.inner.upgrade()
    }

    fn bytes_sent(&self) -> u64 {
        self.inner.bytes_sent()
    }

    fn body_received(&self) -> u64 {
        self.inner.body_received()
    }
}
