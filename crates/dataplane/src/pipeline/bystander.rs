//! The client's side of an attempt that races with others: the winner's answer is what the client gets, so none of them
//! may write to it.

use std::cell::RefCell;
use std::io;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::exchange::{BodyFault, Exchange, Piece, ResponseBody};
use crate::http1::response_head::ResponseHead;
use crate::http1::trailers::Trailers;
use crate::io::buffer::Buffers;
use crate::websocket::side::Side;

/// A client that has sent its request, waits for the answer, and cares for nothing that comes before it.
#[derive(Debug)]
pub struct Bystander;

impl Exchange for Bystander {
    fn body_is_complete(&self) -> bool {
        true
    }

    fn limit_body(&mut self, _: u64) {}

    fn body_in_hand(&self) -> usize {
        0
    }

    fn poll_body(&mut self, _: &mut Context<'_>) -> Poll<Result<Piece<'_>, BodyFault>> {
        Poll::Ready(Ok(Piece::End))
    }

    fn consume_body(&mut self, _: usize) {}

    fn trailers(&self) -> Option<&Trailers> {
        None
    }

    /// Whoever holds the race watches the real one.
    fn poll_gone(&mut self, _: &mut Context<'_>) -> Poll<()> {
        Poll::Pending
    }

    fn begin(&mut self, _: u16) {}

    fn header(&mut self, _: &[u8], _: &[u8]) {}

    fn header_lines(&mut self, _: &[u8]) {}

    fn end_head(&mut self, _: ResponseBody, _: bool) {}

    fn interim(&mut self, _: &ResponseHead) {}

    fn poll_send(&mut self, _: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(data.len()))
    }

    fn end(&mut self, _: Option<&Trailers>) {}

    fn poll_flush(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn upgrade(&mut self) -> Box<dyn Side + '_> {
        Box::new(Self)
    }

    fn bytes_sent(&self) -> u64 {
        0
    }

    fn body_received(&self) -> u64 {
        0
    }
}

/// Nothing that races becomes a WebSocket: this side has ended before it began.
impl Side for Bystander {
    fn data(&self) -> &[u8] {
        &[]
    }

    fn consume(&mut self, _: usize) {}

    fn poll_fill(&mut self, _: &mut Context<'_>, _: &RefCell<Buffers>) -> Poll<bool> {
        Poll::Ready(false)
    }

    fn poll_write(&mut self, _: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(data.len()))
    }

    fn poll_flush(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn keep_alive(&self, _: Duration) {}
}
