//! A secure stream that reads and writes like a plain one.

use std::cell::Cell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::io::stream::Stream;

/// Encrypted bytes that the socket did not take at once wait in here, at most 64 KiB, as they would in the kernel's buffer;
/// reading moves them on, too, so that whoever waits for an answer need not think of them.
#[derive(Debug)]
pub struct TlsStream {
    inner: tokio_rustls::TlsStream<Stream>,
    is_cut: Cell<bool>,
}

impl From<tokio_rustls::server::TlsStream<Stream>> for TlsStream {
    fn from(stream: tokio_rustls::server::TlsStream<Stream>) -> Self {
        Self { inner: stream.into(), is_cut: Cell::new(false) }
    }
}

impl From<tokio_rustls::client::TlsStream<Stream>> for TlsStream {
    fn from(stream: tokio_rustls::client::TlsStream<Stream>) -> Self {
        Self { inner: stream.into(), is_cut: Cell::new(false) }
    }
}

impl TlsStream {
    /// What carries the encrypted bytes.
    pub fn carrier(&self) -> &Stream {
        self.inner.get_ref().0
    }

    /// No goodbye is sent: a peer must not take the end for an orderly one.
    pub fn cut(&self) {
        self.is_cut.set(true);
        self.carrier().cut();
    }

    /// No data and no end has come on this idle connection. What only concerns TLS, such as a new ticket, is taken in.
    pub fn is_quiet(&mut self) -> bool {
        let mut byte = [0];
        let mut target = ReadBuf::new(&mut byte);
        let mut context = Context::from_waker(Waker::noop());
        Pin::new(&mut self.inner).poll_read(&mut context, &mut target).is_pending()
    }

    fn wants_write(&self) -> bool {
        match &self.inner {
            tokio_rustls::TlsStream::Client(stream) => stream.get_ref().1.wants_write(),
            tokio_rustls::TlsStream::Server(stream) => stream.get_ref().1.wants_write(),
        }
    }

    fn say_goodbye(&mut self) {
        match &mut self.inner {
            tokio_rustls::TlsStream::Client(stream) => stream.get_mut().1.send_close_notify(),
            tokio_rustls::TlsStream::Server(stream) => stream.get_mut().1.send_close_notify(),
        }
        // One attempt: nobody waits for a peer that does not read.
        let _ = Pin::new(&mut self.inner).poll_flush(&mut Context::from_waker(Waker::noop()));
    }
}

impl Drop for TlsStream {
    fn drop(&mut self) {
        if !self.is_cut.get() && !std::thread::panicking() {
            self.say_goodbye();
        }
    }
}

impl AsyncRead for TlsStream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        target: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.wants_write() {
            // A broken socket says so to the read that follows.
            let _ = Pin::new(&mut this.inner).poll_flush(context);
        }
        Pin::new(&mut this.inner).poll_read(context, target)
    }
}

impl AsyncWrite for TlsStream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().inner).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(context)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().inner).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }
}
