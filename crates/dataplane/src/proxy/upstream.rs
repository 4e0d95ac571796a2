//! One connection to an instance.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::io::AsyncWrite;
use tokio::sync::OwnedSemaphorePermit;

use crate::io::buffer::Buffer;
use crate::io::dial::{Destination, DialFault, dial};
use crate::io::replay::Replay;
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
    /// As long as it may wait in a pool: until it has idled, or lived, too long.
    pub kept_until: Instant,
    /// It has carried an exchange before, so the instance may have closed it meanwhile.
    pub reused: bool,
    pub place: Option<OwnedSemaphorePermit>,
}

impl Upstream {
    pub async fn connect(
        destination: Destination<'_>,
        timeout: Duration,
        now: Instant,
    ) -> Result<Self, DialFault> {
        let stream = match tokio::time::timeout(timeout, dial(destination)).await {
            Err(_) => return Err(DialFault::Upstream(UpstreamFault::ConnectionTimeout)),
            Ok(Err(fault)) => return Err(fault),
            Ok(Ok(stream)) => stream,
        };
        stream.prepare(KEEPALIVE).map_err(|_| DialFault::Upstream(UpstreamFault::ConnectionFailed))?;
        let (input, place) = (Buffer::default(), None);
        Ok(Self { stream, input, created: now, kept_until: now, reused: false, place })
    }

    /// For a protocol that shares a connection.
    pub fn into_stream(self) -> Stream {
        self.stream
    }

    /// The bytes of the connection as they come, those that have been read already included.
    pub fn raw(&mut self) -> Replay<'_> {
        Replay { input: &mut self.input, stream: &mut self.stream }
    }

    /// As [`Stream::is_quiet`].
    pub fn is_quiet(&mut self) -> bool {
        self.stream.is_quiet()
    }

    pub fn poll_fill(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.input.poll_fill(&mut self.stream, context)
    }

    pub fn poll_write(&mut self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }
}
