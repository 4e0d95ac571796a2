//! One connection to an instance.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::io::AsyncWrite;
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;

use crate::io::buffer::Buffer;
use crate::io::stream::Stream;
use crate::refusal::UpstreamFault;

/// TCP keepalive of idle connections (requirement UP-2).
const KEEPALIVE: Duration = Duration::from_secs(30);

/// A connection in use, or idle in a pool. While in use it holds a place of its pool.
#[derive(Debug)]
pub struct Upstream {
    stream: Stream,
    pub input: Buffer,
    pub created: Instant,
    pub idle_since: Instant,
    /// It has carried an exchange before, so the instance may have closed it meanwhile.
    pub reused: bool,
    pub place: Option<OwnedSemaphorePermit>,
}

impl Upstream {
    pub async fn connect(
        address: SocketAddr,
        timeout: Duration,
        now: Instant,
    ) -> Result<Self, UpstreamFault> {
        let stream = match tokio::time::timeout(timeout, TcpStream::connect(address)).await {
            Err(_) => return Err(UpstreamFault::ConnectionTimeout),
            Ok(Err(error)) => return Err(connect_fault(&error)),
            Ok(Ok(stream)) => Stream::from(stream),
        };
        stream.prepare(KEEPALIVE).map_err(|_| UpstreamFault::ConnectionFailed)?;
        let (input, place) = (Buffer::default(), None);
        Ok(Self { stream, input, created: now, idle_since: now, reused: false, place })
    }

    /// For a protocol that shares a connection.
    pub fn into_stream(self) -> Stream {
        self.stream
    }

    /// The runtime has seen nothing happen on this idle connection: no close, no stray bytes. Costs no system call.
    pub fn is_quiet(&self) -> bool {
        self.stream.is_quiet()
    }

    pub fn poll_fill(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.input.poll_fill(&mut self.stream, context)
    }

    pub fn poll_write(&mut self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }
}

fn connect_fault(error: &io::Error) -> UpstreamFault {
    if error.kind() == io::ErrorKind::ConnectionRefused {
        UpstreamFault::ConnectionRefused
    } else if error.kind() == io::ErrorKind::TimedOut {
        UpstreamFault::ConnectionTimeout
    } else {
        UpstreamFault::ConnectionFailed
    }
}
