//! A leg: the service's side of one exchange, alike for every protocol, as `Exchange` is for the client's side.

use std::task::{Context, Poll};

use tokio::sync::OwnedSemaphorePermit;

use crate::http1::response_head::ResponseHead;
use crate::http1::trailers::Trailers;
use crate::io::buffer::Buffers;
use crate::proxy::fault::Fault;
use crate::proxy::head::OutgoingHead;
use crate::proxy::http1::Http1;
use crate::proxy::http2::Http2;
use crate::proxy::writing::{Broken, Write};
use crate::proxy::{Forward, Links};
use crate::refusal::UpstreamFault;
use crate::request::Method;
use crate::websocket::handshake::Handshake;
use crate::websocket::side::Side;

/// The request goes out by `begin`, `poll_send` and `end_body`, each after `poll_write` said that all before it is out.
/// The answer comes in by `poll_head` until the final one, then `body` and `poll_more` in turns.
#[derive(Debug)]
pub enum Leg {
    Http1(Http1),
    Http2(Box<Http2>),
}

impl Leg {
    /// The head goes out, with `body` behind it; `is_whole`: no more of it will follow.
    pub fn begin(&mut self, head: &OutgoingHead<'_>, body: &[u8], is_whole: bool) {
        match self {
            Self::Http1(leg) => leg.begin(head, body, is_whole),
            Self::Http2(leg) => leg.begin(head, body, is_whole),
        }
    }

    /// One step of writing. Waits while the service takes nothing.
    pub fn poll_write(&mut self, context: &mut Context<'_>) -> Poll<Result<Write, Broken>> {
        match self {
            Self::Http1(leg) => leg.poll_write(context),
            Self::Http2(leg) => leg.poll_write(),
        }
    }

    /// Takes body data, as much as there is room for; ready with how much. Waits while the service makes no room.
    pub fn poll_send(&mut self, context: &mut Context<'_>, data: &[u8]) -> Poll<Result<usize, Broken>> {
        match self {
            Self::Http1(leg) => leg.poll_send(context, data),
            Self::Http2(leg) => leg.poll_send(context, data),
        }
    }

    pub fn end_body(&mut self, trailers: Option<&Trailers>) {
        match self {
            Self::Http1(leg) => leg.end_body(trailers),
            Self::Http2(leg) => leg.end_body(trailers),
        }
    }

    /// Ready with a head of the response, interim ones included. `into` is cleared before each.
    pub fn poll_head(
        &mut self,
        context: &mut Context<'_>,
        method: Method,
        into: &mut ResponseHead,
    ) -> Poll<Result<(), Fault>> {
        match self {
            Self::Http1(leg) => leg.poll_head(context, method, into),
            Self::Http2(leg) => leg.poll_head(context, method, into),
        }
    }

    /// Nothing of an answer has come.
    pub fn was_silent(&self) -> bool {
        match self {
            Self::Http1(leg) => leg.was_silent(),
            Self::Http2(leg) => leg.was_silent(),
        }
    }

    /// What has arrived of the body and was not consumed; empty when more must be read, or the body is complete.
    pub fn body(&mut self) -> Result<&[u8], Fault> {
        match self {
            Self::Http1(leg) => leg.body(),
            Self::Http2(leg) => Ok(leg.body()),
        }
    }

    /// Data of `body` that the client has taken.
    pub fn consume(&mut self, count: usize) {
        match self {
            Self::Http1(leg) => leg.consume(count),
            Self::Http2(leg) => leg.consume(count),
        }
    }

    pub fn body_is_complete(&self) -> bool {
        match self {
            Self::Http1(leg) => leg.body_is_complete(),
            Self::Http2(leg) => leg.body_is_complete(),
        }
    }

    /// Reads more of the body once `body` has nothing; ready when something came, be it the end.
    pub fn poll_more(&mut self, context: &mut Context<'_>, buffers: &mut Buffers) -> Poll<Result<(), Fault>> {
        match self {
            Self::Http1(leg) => leg.poll_more(context, buffers),
            Self::Http2(leg) => leg.poll_more(context),
        }
    }

    /// What came behind the body, once it is complete.
    pub fn trailers(&self) -> Option<&Trailers> {
        match self {
            Self::Http1(leg) => leg.trailers(),
            Self::Http2(leg) => leg.trailers(),
        }
    }

    /// The place in the pool, for another leg in its stead.
    pub fn take_place(&mut self) -> Option<OwnedSemaphorePermit> {
        match self {
            Self::Http1(leg) => leg.take_place(),
            Self::Http2(_) => None,
        }
    }

    /// The service has agreed to the WebSocket that was asked for, and the response says so as HTTP/1.1 would.
    pub fn has_consented(
        &self,
        handshake: Option<&Handshake>,
        response: &mut ResponseHead,
    ) -> Result<bool, Fault> {
        let Some(handshake) = handshake else { return Ok(false) };
        let is_success = (200..300).contains(&response.status);
        let consents = match self {
            Self::Http1(_) => response.status == 101 && handshake.is_accepted_by(response),
            // What a 101 says there (RFC 8441 section 5).
            Self::Http2(_) => is_success,
        };
        if consents {
            handshake.settle(response);
        } else if is_success && handshake.is_extended() {
            // Its client would take any success for consent.
            return Err(Fault::Upstream(UpstreamFault::InvalidResponse));
        }
        Ok(consents)
    }

    /// What carries the exchange, for it to use otherwise: the connection, or the stream.
    pub fn upgrade(&mut self) -> Option<Box<dyn Side + '_>> {
        match self {
            Self::Http1(leg) => leg.upgrade(),
            Self::Http2(leg) => Some(Box::new(&mut **leg)),
        }
    }

    /// The exchange is over. `is_clean`: the request went out whole and the answer allows another one behind it. Gives
    /// the memory for the next request's head back.
    pub fn finish(self, forward: &Forward<'_>, links: &Links, is_clean: bool) -> Vec<u8> {
        match self {
            Self::Http1(leg) => leg.finish(forward, links, is_clean),
            Self::Http2(_) => Vec::new(),
        }
    }
}
