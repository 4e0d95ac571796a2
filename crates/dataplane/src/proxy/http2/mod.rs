//! The HTTP/2 leg: one stream of a connection that carries many (requirement UP-4, D27).

mod connection;
pub mod pool;
mod request;
mod trailers;

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use h2::client::ResponseFuture;
use h2::{Reason, RecvStream, SendStream};

use crate::http1::response_framing::ResponseFraming;
use crate::http1::response_head::ResponseHead;
use crate::http1::trailers::Trailers;
use crate::io::buffer::Buffers;
use crate::proxy::fault::Fault;
use crate::proxy::head::OutgoingHead;
use crate::proxy::writing::{Broken, UPLOAD_WINDOW, Write};
use crate::refusal::{Refusal, UpstreamFault};
use crate::request::Method;
use crate::websocket::side::{self, Side};
use pool::Slot;
use request::RequestHead;

/// How a service is spoken to over HTTP/2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Exchanges on one connection at once; the service may allow fewer.
    pub max_streams: usize,
    /// Bytes of one response that may wait for a client.
    pub window: u32,
    /// Silence after which a connection with streams is asked whether it lives.
    pub ping_interval: Duration,
    /// For the answer to that.
    pub ping_timeout: Duration,
}

#[derive(Debug)]
pub struct Http2 {
    slot: Slot,
    send: Option<SendStream<Bytes>>,
    response: Option<ResponseFuture>,
    receive: Option<RecvStream>,
    /// Came last and is not consumed yet.
    data: Bytes,
    trailers: Trailers,
    at_trailers: bool,
    is_complete: bool,
    /// The service has answered something, so it has seen the request.
    was_heard: bool,
    /// A longer head of a response is refused.
    head_limit: usize,
    /// Why the request could not even begin.
    failed: Option<Fault>,
}

impl Http2 {
    pub fn new(slot: Slot, head_limit: usize) -> Self {
        Self {
            slot,
            send: None,
            response: None,
            receive: None,
            data: Bytes::new(),
            trailers: Trailers::default(),
            at_trailers: false,
            is_complete: false,
            was_heard: false,
            head_limit,
            failed: None,
        }
    }

    pub fn begin(&mut self, head: &OutgoingHead<'_>, body: &[u8], is_whole: bool) {
        let mut written = RequestHead::default();
        head.write(&mut written);
        let Some(request) = written.finish(self.slot.is_secure()) else {
            self.failed = Some(Fault::Refused(Refusal::Internal));
            return;
        };
        if head.handshake.is_some() && !self.slot.takes_extended_connect() {
            self.failed = Some(Fault::Upstream(UpstreamFault::NoExtendedConnect));
            return;
        }
        let ends = is_whole && body.is_empty() && head.handshake.is_none();
        match self.slot.send_request(request, ends) {
            Ok((response, mut send)) => {
                // An error here is one of the stream, which tells of it again where the response is waited for.
                if !body.is_empty() {
                    let _ = send.send_data(Bytes::copy_from_slice(body), is_whole);
                }
                self.response = Some(response);
                self.send = Some(send);
            }
            Err(error) => self.failed = Some(self.fault(&error)),
        }
    }

    /// What was given to the stream leaves by itself.
    pub fn poll_write(&mut self) -> Poll<Result<Write, Broken>> {
        Poll::Ready(Ok(Write::Done))
    }

    /// Room is asked for only while there is data for it: what a silent stream reserved, others could not use.
    pub fn poll_send(&mut self, context: &mut Context<'_>, data: &[u8]) -> Poll<Result<usize, Broken>> {
        let Some(send) = &mut self.send else { return Poll::Ready(Err(Broken)) };
        let wanted = data.len().min(UPLOAD_WINDOW);
        send.reserve_capacity(wanted);
        loop {
            let length = send.capacity().min(wanted);
            if length > 0 {
                let piece = Bytes::copy_from_slice(data.get(..length).unwrap_or_default());
                return Poll::Ready(send.send_data(piece, false).map(|()| length).map_err(|_| Broken));
            }
            match ready!(send.poll_capacity(context)) {
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Poll::Ready(Err(Broken)),
            }
        }
    }

    pub fn end_body(&mut self, trailers: Option<&Trailers>) {
        let Some(send) = &mut self.send else { return };
        // An error here is one of the stream, which tells of it again where the response is waited for.
        let _ = match trailers.filter(|trailers| !trailers.is_empty()) {
            Some(trailers) => send.send_trailers(trailers::to_map(trailers)),
            None => send.send_data(Bytes::new(), true),
        };
    }

    pub fn poll_head(
        &mut self,
        context: &mut Context<'_>,
        method: Method,
        into: &mut ResponseHead,
    ) -> Poll<Result<(), Fault>> {
        if let Some(fault) = self.failed.take() {
            return Poll::Ready(Err(fault));
        }
        let Some(response) = &mut self.response else {
            return Poll::Ready(Err(Fault::Upstream(UpstreamFault::InvalidResponse)));
        };
        if let Poll::Ready(Some(Ok(interim))) = response.poll_informational(context) {
            self.was_heard = true;
            return Poll::Ready(adopt(&interim, method, self.head_limit, into));
        }
        let answered = ready!(Pin::new(response).poll(context)).map_err(|error| self.fault(&error))?;
        self.was_heard = true;
        adopt(&answered, method, self.head_limit, into)?;
        let receive = answered.into_body();
        if receive.is_end_stream() {
            into.framing = bodiless(into.framing);
            self.is_complete = true;
        }
        self.receive = Some(receive);
        self.response = None;
        Poll::Ready(Ok(()))
    }

    pub fn was_silent(&self) -> bool {
        !self.was_heard
    }

    pub fn body(&self) -> &[u8] {
        &self.data
    }

    pub fn consume(&mut self, count: usize) {
        let count = count.min(self.data.len());
        self.data.advance(count);
        if let Some(receive) = &mut self.receive {
            // Fails only for more than was received.
            let _ = receive.flow_control().release_capacity(count);
        }
    }

    pub fn body_is_complete(&self) -> bool {
        self.is_complete && self.data.is_empty()
    }

    pub fn poll_more(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        let Some(receive) = &mut self.receive else {
            return Poll::Ready(Err(Fault::Upstream(UpstreamFault::InvalidResponse)));
        };
        while !self.at_trailers {
            match ready!(receive.poll_data(context)) {
                // Says nothing, so it is no sign of life either; the crate bounds how many there may be.
                Some(Ok(data)) if data.is_empty() => {}
                Some(Ok(data)) => {
                    self.data = data;
                    return Poll::Ready(Ok(()));
                }
                Some(Err(error)) => return Poll::Ready(Err(self.fault(&error))),
                None => self.at_trailers = true,
            }
        }
        let trailers = ready!(receive.poll_trailers(context)).map_err(|error| self.fault(&error))?;
        if let Some(map) = trailers {
            self.trailers = trailers::from_map(&map).map_err(Fault::Upstream)?;
        }
        self.is_complete = true;
        Poll::Ready(Ok(()))
    }

    pub fn trailers(&self) -> Option<&Trailers> {
        Some(&self.trailers)
    }

    /// What an error of the stream means (RFC 9113 sections 5.4, 6.8 and 8.7).
    fn fault(&self, error: &h2::Error) -> Fault {
        if error.is_remote() && error.is_go_away() {
            // The crate tells of it only to streams that the service has not processed.
            return Fault::Unprocessed;
        }
        if error.is_remote() && error.is_reset() {
            return if error.reason() == Some(Reason::REFUSED_STREAM) {
                Fault::Unprocessed
            } else {
                Fault::Upstream(UpstreamFault::StreamReset)
            };
        }
        if error.is_library() {
            return Fault::Upstream(UpstreamFault::InvalidResponse);
        }
        if self.slot.was_reused() && !self.was_heard {
            return Fault::Stale;
        }
        Fault::Upstream(UpstreamFault::ConnectionReset)
    }
}

/// The stream as a tunnel (RFC 8441): its DATA frames are the bytes of a connection, and their end is its end.
impl Side for &mut Http2 {
    fn data(&self) -> &[u8] {
        &self.data
    }

    fn consume(&mut self, count: usize) {
        Http2::consume(self, count);
    }

    fn poll_fill(&mut self, context: &mut Context<'_>, _: &RefCell<Buffers>) -> Poll<bool> {
        let Some(receive) = &mut self.receive else { return Poll::Ready(false) };
        match ready!(receive.poll_data(context)) {
            Some(Ok(more)) => {
                side::join(&mut self.data, more);
                Poll::Ready(true)
            }
            Some(Err(_)) | None => Poll::Ready(false),
        }
    }

    fn poll_write(&mut self, context: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_send(context, data).map_err(|Broken| io::ErrorKind::BrokenPipe.into())
    }

    /// What was given to the stream leaves by itself.
    fn poll_flush(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.end_body(None);
        self.send = None;
        Poll::Ready(Ok(()))
    }

    /// A matter of the connection, which cares for it.
    fn keep_alive(&self, _: Duration) {}
}

fn adopt<B>(
    response: &http::Response<B>,
    method: Method,
    limit: usize,
    into: &mut ResponseHead,
) -> Result<(), Fault> {
    let fields = response.headers().iter().map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes()));
    into.adopt(response.status().as_u16(), fields, method, limit).map_err(Fault::Upstream)
}

/// Nothing follows a head that ended its stream.
fn bodiless(framing: ResponseFraming) -> ResponseFraming {
    match framing {
        ResponseFraming::None => ResponseFraming::None,
        ResponseFraming::Length(_) | ResponseFraming::Chunked | ResponseFraming::UntilClose => {
            ResponseFraming::Length(0)
        }
    }
}
