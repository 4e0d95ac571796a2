//! A connection's byte stream, whatever carries it. Both sides read and write only this.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use rustix::net::RecvFlags;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::task::coop;

use crate::tls::TlsStream;

#[derive(Debug)]
pub enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
    /// Over any of the others. In a box, so that a plain connection is no larger for it.
    Tls(Box<TlsStream>),
}

impl From<TcpStream> for Stream {
    fn from(stream: TcpStream) -> Self {
        Self::Tcp(stream)
    }
}

impl From<UnixStream> for Stream {
    fn from(stream: UnixStream) -> Self {
        Self::Unix(stream)
    }
}

impl From<TlsStream> for Stream {
    fn from(stream: TlsStream) -> Self {
        Self::Tls(Box::new(stream))
    }
}

impl Stream {
    pub fn is_secure(&self) -> bool {
        matches!(self, Self::Tls(_))
    }

    fn socket(&self) -> SockRef<'_> {
        match self {
            Self::Tcp(stream) => SockRef::from(stream),
            Self::Unix(stream) => SockRef::from(stream),
            Self::Tls(stream) => stream.carrier().socket(),
        }
    }

    /// The socket will be closed by a reset, so that its peer cannot take the end for an orderly one.
    pub fn cut(&self) {
        if let Self::Tls(stream) = self {
            return stream.cut();
        }
        // Where this fails, the connection is broken already.
        let _ = self.socket().set_linger(Some(Duration::ZERO));
    }

    /// What has come and was not read; ready with no bytes at the end of the stream.
    pub fn poll_peek(&self, context: &mut Context<'_>, room: &mut [u8]) -> Poll<io::Result<usize>> {
        match self {
            Self::Tcp(stream) => stream.poll_peek(context, &mut ReadBuf::new(room)),
            Self::Unix(stream) => loop {
                ready!(stream.poll_read_ready(context))?;
                let peek = || Ok(rustix::net::recv(stream, &mut *room, RecvFlags::PEEK)?.1);
                match stream.try_io(Interest::READABLE, peek) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    result => return Poll::Ready(result),
                }
            },
            Self::Tls(_) => Poll::Ready(Err(io::ErrorKind::Unsupported.into())),
        }
    }

    /// One attempt to send to a peer that is not waited for: the buffer of a new socket is empty.
    pub fn offer(&self, bytes: &[u8]) {
        // Whoever does not take it is told nothing.
        let _ = match self {
            Self::Tcp(stream) => stream.try_write(bytes),
            Self::Unix(stream) => stream.try_write(bytes),
            Self::Tls(_) => Ok(0),
        };
    }

    /// What a connection to a service needs before it is used; a path on this machine needs none of it.
    pub fn prepare(&self, keepalive: Duration) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => {
                stream.set_nodelay(true)?;
                self.socket().set_tcp_keepalive(&TcpKeepalive::new().with_time(keepalive))
            }
            Self::Unix(_) => Ok(()),
            Self::Tls(stream) => stream.carrier().prepare(keepalive),
        }
    }

    /// The runtime has seen nothing happen on this idle connection: no close, no stray bytes. Costs no system call, but
    /// where the peer has sent something that concerns TLS alone.
    pub fn is_quiet(&mut self) -> bool {
        // Tried only where something has happened. A poll would say the same for ten times the instructions: it leaves
        // somebody to be woken, too.
        let happened = || Ok(());
        match self {
            Self::Tcp(stream) => stream.try_io(Interest::READABLE, happened).is_err(),
            Self::Unix(stream) => stream.try_io(Interest::READABLE, happened).is_err(),
            // Without budget the runtime says pending whatever has happened.
            Self::Tls(stream) => coop::has_budget_remaining() && stream.is_quiet(),
        }
    }
}

impl AsyncRead for Stream {
    #[inline]
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        target: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(context, target),
            Self::Unix(stream) => Pin::new(stream).poll_read(context, target),
            Self::Tls(stream) => Pin::new(&mut **stream).poll_read(context, target),
        }
    }
}

impl AsyncWrite for Stream {
    #[inline]
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Unix(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Tls(stream) => Pin::new(&mut **stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_flush(context),
            Self::Unix(stream) => Pin::new(stream).poll_flush(context),
            Self::Tls(stream) => Pin::new(&mut **stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Tls(stream) => Pin::new(&mut **stream).poll_shutdown(context),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write_vectored(context, slices),
            Self::Unix(stream) => Pin::new(stream).poll_write_vectored(context, slices),
            Self::Tls(stream) => Pin::new(&mut **stream).poll_write_vectored(context, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }
}
