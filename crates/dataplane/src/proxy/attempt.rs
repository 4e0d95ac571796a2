//! One attempt at an instance: the request goes out while its answer comes in. Written as polls, because both
//! directions of one exchange must go on at the same time, and bounded by one timer that knows whom we wait for.

use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use crate::exchange::{BodyFault, Exchange, Piece};
use crate::http1::body::Reader;
use crate::http1::chunk_writer::{write_chunk, write_last_chunk};
use crate::http1::response_head::{self, ResponseHead};
use crate::http1::trailers::Trailers;
use crate::io::buffer::Buffers;
use crate::io::timer::Timer;
use crate::proxy::upstream::Upstream;
use crate::refusal::{Refusal, UpstreamFault};
use crate::request::{Framing, Request};

/// Body bytes that wait to be written to the service.
const UPLOAD_WINDOW: usize = 64 * 1024;
/// Heads of services may be this long; a longer one is a 502.
const RESPONSE_HEAD_LIMIT: usize = 16 * 1024 - 1;

/// Interim answers to one request; a service that sends more than this is not going to answer.
const MAX_INTERIMS: u32 = 16;

/// Why an attempt ended without a complete response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A connection out of the pool was closed before a byte came back: the instance may never have seen the request.
    Stale,
    Upstream(UpstreamFault),
    UpstreamTimeout,
    ClientGone,
    /// The client took nothing of the response for too long.
    ClientStalled,
    /// The request's own body was at fault.
    Refused(Refusal),
}

/// Whose turn it is. Each has its own deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waiting {
    Service,
    ClientBody,
    ClientReads,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Upload {
    Running,
    Complete,
    /// The service stopped listening; what it answered may still be there to be read.
    Broken,
}

/// How long each side may do nothing.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// The route's timeout.
    pub service: Duration,
    pub client_body: Duration,
    pub client_reads: Duration,
}

/// What an attempt borrows from its connection: memory that outlives it.
pub struct Means<'a, E> {
    pub exchange: &'a mut E,
    pub timer: &'a mut Timer,
    pub response: &'a mut ResponseHead,
    pub outgoing: &'a mut Vec<u8>,
}

pub struct Attempt<'a, 'm, E> {
    means: &'a mut Means<'m, E>,
    request: &'a Request,
    pub upstream: Upstream,
    patience: Patience,
    written: usize,
    upload: Upload,
    waiting: Waiting,
    reader: Reader,
    interims: u32,
}

impl<'a, 'm, E: Exchange> Attempt<'a, 'm, E> {
    /// `means.outgoing` holds the head, and the whole body where that is small.
    pub fn new(
        means: &'a mut Means<'m, E>,
        request: &'a Request,
        upstream: Upstream,
        patience: Patience,
    ) -> Self {
        let upload = if means.exchange.body_is_complete() { Upload::Complete } else { Upload::Running };
        let (waiting, reader) = (Waiting::Service, Reader::none());
        Self { means, request, upstream, patience, written: 0, upload, waiting, reader, interims: 0 }
    }

    /// Begins again on a fresh connection with the request that is still whole in `outgoing`.
    pub fn restart(&mut self, upstream: Upstream) {
        self.upstream = upstream;
        self.written = 0;
        self.upload = Upload::Complete;
        // The deadline stays that of the first connection: the route's timeout is for both together.
        self.waiting = Waiting::Service;
    }

    /// The client and the head of the response, for whoever writes the answer's head.
    pub fn parts(&mut self) -> (&mut E, &ResponseHead) {
        (self.means.exchange, self.means.response)
    }

    /// The response head has been read into `means.response`; what follows it is the body.
    pub fn poll_head(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        self.poll_upload(context)?;
        loop {
            if self.parse_head()? {
                return Poll::Ready(Ok(()));
            }
            match self.upstream.poll_fill(context) {
                Poll::Ready(Ok(count)) if count > 0 => {}
                Poll::Ready(_) => return Poll::Ready(Err(self.closed_early())),
                Poll::Pending => break,
            }
        }
        if self.interims > 0
            && let Poll::Ready(Err(_)) = self.means.exchange.poll_flush(context)
        {
            return Poll::Ready(Err(Fault::ClientGone));
        }
        let body_is_in = self.means.exchange.body_is_complete();
        if body_is_in && self.means.exchange.poll_gone(context).is_ready() {
            return Poll::Ready(Err(Fault::ClientGone));
        }
        self.poll_patience(context)
    }

    fn closed_early(&self) -> Fault {
        if self.upstream.reused && self.upstream.input.is_empty() && self.interims == 0 {
            return Fault::Stale;
        }
        Fault::Upstream(UpstreamFault::ConnectionReset)
    }

    fn parse_head(&mut self) -> Result<bool, Fault> {
        loop {
            let data = self.upstream.input.data();
            if data.is_empty() {
                return Ok(false);
            }
            let response = &mut *self.means.response;
            let parsed = response_head::parse(data, self.request.method, RESPONSE_HEAD_LIMIT, response);
            let Some(consumed) = parsed.map_err(Fault::Upstream)? else { return Ok(false) };
            self.upstream.input.consume(consumed);
            if !(100..200).contains(&response.status) {
                self.reader = Reader::of_response(response.framing);
                return Ok(true);
            }
            self.pass_interim()?;
        }
    }

    /// Interim answers go on to the client, but for `100`, which is ours to say, and `101`, which we never asked for.
    fn pass_interim(&mut self) -> Result<(), Fault> {
        self.interims += 1;
        let Means { exchange, response, .. } = &mut *self.means;
        if response.status == 101 || self.interims > MAX_INTERIMS {
            return Err(Fault::Upstream(UpstreamFault::InvalidResponse));
        }
        if response.status != 100 {
            exchange.interim(response);
        }
        response.clear();
        Ok(())
    }

    /// A client that does not take the response is what ends this exchange, whatever the upload waits for.
    fn upload_waits_for(&mut self, whom: Waiting) {
        if self.waiting != Waiting::ClientReads {
            self.must_wait_for(whom);
        }
    }

    fn upload_moved(&mut self) {
        if self.waiting != Waiting::ClientReads {
            self.waiting = Waiting::Service;
            self.progressed();
        }
    }

    fn client_read(&mut self) {
        if self.waiting == Waiting::ClientReads {
            self.waiting = Waiting::Service;
            self.progressed();
        }
    }

    fn must_wait_for(&mut self, whom: Waiting) {
        if self.waiting != whom {
            self.waiting = whom;
            self.progressed();
        }
    }

    /// The clock is read only where a body moves; a plain request runs on the deadline set at its start.
    fn progressed(&mut self) {
        let patience = match self.waiting {
            Waiting::Service => self.patience.service,
            Waiting::ClientBody => self.patience.client_body,
            Waiting::ClientReads => self.patience.client_reads,
        };
        self.means.timer.set(Instant::now() + patience);
    }

    fn poll_patience(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        self.means.timer.poll(context).map(|()| {
            Err(match self.waiting {
                Waiting::Service => Fault::UpstreamTimeout,
                Waiting::ClientBody => Fault::Refused(Refusal::Slow("body")),
                Waiting::ClientReads => Fault::ClientStalled,
            })
        })
    }

    /// Moves the request towards the service as far as it goes now.
    fn poll_upload(&mut self, context: &mut Context<'_>) -> Result<(), Fault> {
        while self.upload != Upload::Broken {
            if !self.write_outgoing(context) || self.upload == Upload::Complete {
                return Ok(());
            }
            match self.take_piece(context) {
                Poll::Ready(result) => result?,
                Poll::Pending => {
                    self.upload_waits_for(Waiting::ClientBody);
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// True when nothing waits to be written.
    fn write_outgoing(&mut self, context: &mut Context<'_>) -> bool {
        while let Some(rest) = self.means.outgoing.get(self.written..).filter(|rest| !rest.is_empty()) {
            match self.upstream.poll_write(context, rest) {
                Poll::Ready(Ok(count)) if count > 0 => {
                    self.written += count;
                    if self.upload == Upload::Running || self.waiting == Waiting::ClientBody {
                        self.upload_moved();
                    }
                }
                Poll::Ready(_) => {
                    self.upload = Upload::Broken;
                    return false;
                }
                Poll::Pending => {
                    self.upload_waits_for(Waiting::Service);
                    return false;
                }
            }
        }
        true
    }

    fn take_piece(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        let Means { exchange, outgoing, .. } = &mut *self.means;
        let chunked = self.request.framing == Framing::Chunked;
        let piece = match exchange.poll_body(context) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Err(BodyFault::Gone)) => return Poll::Ready(Err(Fault::ClientGone)),
            Poll::Ready(Err(BodyFault::Refused(refusal))) => {
                return Poll::Ready(Err(Fault::Refused(refusal)));
            }
            Poll::Ready(Ok(piece)) => piece,
        };
        // What was written is kept until here, so that a stale connection can be made good; no longer.
        outgoing.clear();
        self.written = 0;
        match piece {
            Piece::Data(data) => {
                let data = data.get(..UPLOAD_WINDOW).unwrap_or(data);
                let length = data.len();
                if chunked {
                    write_chunk(outgoing, data);
                } else {
                    outgoing.extend_from_slice(data);
                }
                exchange.consume_body(length);
                // The end of a body of known length is seen without waiting for anything.
                if !chunked && exchange.body_is_complete() {
                    self.upload = Upload::Complete;
                }
            }
            Piece::End => {
                if chunked {
                    write_last_chunk(outgoing, exchange.trailers().unwrap_or(&Trailers::default()));
                }
                self.upload = Upload::Complete;
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Passes the body on until its end has been handed to the client.
    pub fn poll_relay(
        &mut self,
        context: &mut Context<'_>,
        buffers: &mut Buffers,
    ) -> Poll<Result<(), Fault>> {
        self.poll_upload(context)?;
        loop {
            let decoded = self.reader.decode(&mut self.upstream.input);
            let length = decoded.map_err(|_| Fault::Upstream(UpstreamFault::InvalidResponse))?;
            if length > 0 {
                let data = self.upstream.input.data().get(..length).unwrap_or_default();
                match self.means.exchange.poll_send(context, data) {
                    Poll::Ready(Ok(count)) => {
                        self.reader.consume(&mut self.upstream.input, count);
                        self.client_read();
                        continue;
                    }
                    Poll::Ready(Err(_)) => return Poll::Ready(Err(Fault::ClientGone)),
                    Poll::Pending => {
                        self.must_wait_for(Waiting::ClientReads);
                        return self.poll_patience(context);
                    }
                }
            }
            if self.reader.is_complete() {
                return Poll::Ready(Ok(()));
            }
            match self.poll_more(context, buffers) {
                Poll::Ready(result) => result?,
                Poll::Pending => break,
            }
        }
        if let Poll::Ready(Err(_)) = self.means.exchange.poll_flush(context) {
            return Poll::Ready(Err(Fault::ClientGone));
        }
        let listening = self.upload == Upload::Running || self.means.exchange.poll_gone(context).is_pending();
        if !listening {
            return Poll::Ready(Err(Fault::ClientGone));
        }
        self.poll_patience(context)
    }

    /// Reads more of the response's body.
    fn poll_more(&mut self, context: &mut Context<'_>, buffers: &mut Buffers) -> Poll<Result<(), Fault>> {
        self.widen(buffers);
        match self.upstream.poll_fill(context) {
            Poll::Ready(Ok(count)) if count > 0 => {
                self.waiting = Waiting::Service;
                self.progressed();
                Poll::Ready(Ok(()))
            }
            Poll::Ready(result) => {
                let ended_well = result.is_ok() && self.reader.end_of_stream();
                Poll::Ready(if ended_well {
                    Ok(())
                } else {
                    Err(Fault::Upstream(UpstreamFault::ConnectionReset))
                })
            }
            Poll::Pending => {
                if self.upload != Upload::Running {
                    self.must_wait_for(Waiting::Service);
                }
                Poll::Pending
            }
        }
    }

    /// A long body is read in larger steps.
    fn widen(&mut self, buffers: &mut Buffers) {
        let input = &mut self.upstream.input;
        let is_long = self.reader.left().is_none_or(|left| left > crate::io::buffer::SMALL as u64);
        if is_long && input.is_empty() && !input.is_large() {
            let large = buffers.large();
            buffers.give_back(std::mem::replace(input, large));
        }
    }

    /// Hands the end of the response to the client, and says whether the connection can carry another exchange.
    pub fn finish(&mut self) -> bool {
        let pass = self.request.accepts_trailers();
        self.means.exchange.end(self.reader.trailers().filter(|_| pass));
        self.upload == Upload::Complete
            && self.written == self.means.outgoing.len()
            && self.means.response.keep_alive
            && self.upstream.input.is_empty()
    }

    /// The request has gone out whole; nothing more is expected from the client.
    pub fn upload_is_complete(&self) -> bool {
        self.upload == Upload::Complete
    }
}
