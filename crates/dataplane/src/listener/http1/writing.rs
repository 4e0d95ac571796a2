//! What is written to the client: what waits, and what goes past it without being copied.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::AsyncWrite;

use super::{Http1, Outgoing};
use crate::exchange::ResponseBody;
use crate::request::Version;

impl Http1 {
    pub(super) fn is_flushed(&self) -> bool {
        self.written == self.output.len()
    }

    pub(super) fn poll_write_output(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.is_flushed() {
            let rest = self.output.get(self.written..).unwrap_or_default();
            let count = ready!(Pin::new(&mut self.stream).poll_write(context, rest))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.written += count;
        }
        self.output.clear();
        self.written = 0;
        // A secure stream may still hold some of it; a plain one has nothing to do here.
        Pin::new(&mut self.stream).poll_flush(context)
    }

    /// Large data goes out together with what waits, without being copied; ready with how much of `data` left.
    pub(super) fn poll_write_through(
        &mut self,
        context: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        let rest = self.output.get(self.written..).unwrap_or_default();
        let (waiting, stream) = (rest.len(), Pin::new(&mut self.stream));
        let count = if waiting == 0 {
            ready!(stream.poll_write(context, data))?
        } else {
            ready!(stream.poll_write_vectored(context, &[IoSlice::new(rest), IoSlice::new(data)]))?
        };
        if count == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        if count < waiting {
            self.written += count;
            return Poll::Ready(Ok(0));
        }
        self.output.clear();
        self.written = 0;
        Poll::Ready(Ok(count - waiting))
    }

    pub(super) fn put(&mut self, bytes: &[u8]) {
        self.output.extend_from_slice(bytes);
        self.sent += bytes.len() as u64;
    }

    /// Inlined, so that a name of known length becomes a few stores.
    #[inline(always)]
    pub(super) fn put_header(&mut self, name: &[u8], value: &[u8]) {
        self.output.reserve(name.len() + value.len() + 4);
        self.output.extend_from_slice(name);
        self.output.extend_from_slice(b": ");
        self.output.extend_from_slice(value);
        self.output.extend_from_slice(b"\r\n");
        self.sent += (name.len() + value.len() + 4) as u64;
    }

    /// Counts what `write` appends.
    pub(super) fn append(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let before = self.output.len();
        write(&mut self.output);
        self.sent += (self.output.len() - before) as u64;
    }

    pub(super) fn choose_framing(&mut self, body: ResponseBody) {
        self.outgoing = match body {
            ResponseBody::Absent | ResponseBody::WebSocket => Outgoing::Absent,
            ResponseBody::Length(_) => Outgoing::Length,
            ResponseBody::Stream if self.version == Version::Http10 => Outgoing::UntilClose,
            ResponseBody::Stream => Outgoing::Chunked,
        };
        if self.outgoing == Outgoing::UntilClose {
            self.keep_alive = false;
        }
    }
}
