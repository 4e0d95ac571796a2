//! One request and its answer on a client's connection, alike for every protocol. The stages know only this.

use std::io;
use std::task::{Context, Poll};

use crate::http1::response_head::ResponseHead;
use crate::http1::trailers::Trailers;
use crate::refusal::Refusal;
use crate::websocket::side::Side;

/// How the body of the response will be delimited for the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResponseBody {
    /// No body by rule: 204, 304, or an answer to HEAD.
    Absent,
    Length(u64),
    /// Not known beforehand.
    Stream,
    /// None: what carries the request is a WebSocket from here on.
    WebSocket,
}

/// Why no more of the request's body can be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BodyFault {
    Gone,
    Refused(Refusal),
}

/// A piece of the request's body.
#[derive(Debug)]
pub enum Piece<'a> {
    /// Give the number of bytes used to `consume_body`.
    Data(&'a [u8]),
    /// The body is complete; `trailers` has what came behind it.
    End,
}

/// A client's side of one request. Head first, then body data, then `end`; `poll_flush` until all of it is out.
pub trait Exchange {
    /// The body has been received and consumed as a whole, or there is none.
    fn body_is_complete(&self) -> bool;

    /// The largest body that the route takes; a longer one is refused while it arrives.
    fn limit_body(&mut self, limit: u64);

    /// Bytes received and not yet consumed.
    fn body_in_hand(&self) -> usize;

    /// The next piece of the body. Tells the client to go on where it waits for `100 Continue`.
    fn poll_body(&mut self, context: &mut Context<'_>) -> Poll<Result<Piece<'_>, BodyFault>>;

    fn consume_body(&mut self, count: usize);

    /// Trailers of the request's body, once it is complete.
    fn trailers(&self) -> Option<&Trailers>;

    /// Ready once the client is gone. What it sends meanwhile, more of the body or a next request, is kept for who wants it,
    /// and where there is no room for more, nobody listens.
    fn poll_gone(&mut self, context: &mut Context<'_>) -> Poll<()>;

    /// Begins the final response. Headers follow, then `end_head`.
    fn begin(&mut self, status: u16);

    fn header(&mut self, name: &[u8], value: &[u8]);

    /// Header lines that never change, as HTTP/1.1 bytes: `name: value CR LF`, any number.
    fn header_lines(&mut self, lines: &[u8]);

    /// Ends the head. `close`: the connection will not be used again.
    fn end_head(&mut self, body: ResponseBody, close: bool);

    /// An interim response (RFC 9110 section 15.2), where the protocol can carry one.
    fn interim(&mut self, head: &ResponseHead);

    /// Takes body data, as much as there is room for; ready with how much. Waits while the client does not read.
    fn poll_send(&mut self, context: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>>;

    /// Ends the body.
    fn end(&mut self, trailers: Option<&Trailers>);

    fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// What carried the request, for it to use otherwise: the whole connection, or its stream. Once the answer is out.
    fn upgrade(&mut self) -> Box<dyn Side + '_>;

    /// Bytes given to the client so far, head and framing included.
    fn bytes_sent(&self) -> u64;

    /// Bytes of the request's body received so far, without framing.
    fn body_received(&self) -> u64;
}
