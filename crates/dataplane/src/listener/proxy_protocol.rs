//! The PROXY protocol, versions 1 and 2: a balancer that passes connections on says before all else whose they are.
//! Read from listed peers alone; whoever else sends it is a client whose request is a bad one.

use std::cell::Cell;
use std::future::poll_fn;
use std::io;
use std::net::IpAddr;
use std::task::{Poll, ready};
use std::time::Instant;

use crate::io::stream::Stream;
use crate::io::timer::Timer;
use crate::listener::accept::Guard;
use crate::listener::connection;
use crate::listener::proxy_header::{self, Found, MAX_BYTES};
use crate::listener::ticket::Full;
use crate::record::TimeoutKind;
use crate::worker::Worker;

/// Who is at the other end of a connection.
pub struct Introduced {
    pub peer: IpAddr,
    /// Bytes of a first request that began like a header. None where a header is required or was found.
    pub early: Vec<u8>,
}

/// Why a connection ends before it began.
enum Fault {
    /// The peer left, or never said anything: balancers look this way whether a port is open.
    Silent,
    Late,
    Wrong,
}

/// Reads the header where this peer sends one; exactly its bytes, so that TLS finds what follows. `None` where the
/// connection is to be closed, which is counted.
pub async fn introduce(
    worker: &Worker,
    guard: &mut Guard,
    is_idle: &Cell<bool>,
    stream: &mut Stream,
    peer: IpAddr,
) -> Option<Introduced> {
    let settings = guard.listener.proxy_protocol.as_ref().filter(|settings| settings.is_spoken_by(peer));
    let Some(settings) = settings else { return Some(Introduced { peer, early: Vec::new() }) };
    let mut timer = Timer::new(Instant::now() + guard.listener.header_timeout);
    // Nobody waits for an answer yet: a node that drains need not wait for it either.
    is_idle.set(true);
    // In a box: a connection without a header should not have room for one.
    let found = Box::pin(read(stream, &mut timer, settings.required)).await;
    is_idle.set(false);
    let metrics = guard.listener.metrics.worker(worker.index);
    let (told, early) = match found {
        Ok(found) => found,
        Err(fault) => {
            if matches!(fault, Fault::Late) {
                worker.counts().timed_out(TimeoutKind::Head);
            }
            if !matches!(fault, Fault::Silent) {
                metrics.proxy_protocol_errors.add(1);
            }
            return None;
        }
    };
    let peer = told.unwrap_or(peer);
    if !guard.ticket.enter_client(&guard.listener, peer) {
        metrics.refused_clients.add(1);
        stream.offer(&connection::too_many(peer, Full::Client));
        return None;
    }
    Some(Introduced { peer, early })
}

async fn read(
    stream: &mut Stream,
    timer: &mut Timer,
    required: bool,
) -> Result<(Option<IpAddr>, Vec<u8>), Fault> {
    let mut bytes = [0; MAX_BYTES];
    let mut taken = 0;
    loop {
        let room = bytes.get_mut(taken..).unwrap_or_default();
        let count = peek(stream, timer, room).await?;
        // The runtime may call a connection readable that has nothing to read; only its end gives no bytes.
        if count == 0 {
            return Err(if taken == 0 { Fault::Silent } else { Fault::Wrong });
        }
        let seen = bytes.get(..taken + count).unwrap_or_default();
        let (take, found) = match proxy_header::find(seen) {
            Found::More => (count, None),
            Found::Header { length, client } => (length.saturating_sub(taken), Some((client, Vec::new()))),
            Found::Absent if !required => (0, Some((None, seen.get(..taken).unwrap_or_default().to_vec()))),
            Found::Absent | Found::Wrong => return Err(Fault::Wrong),
        };
        let end = (taken + take).min(MAX_BYTES);
        consume(stream, bytes.get_mut(taken..end).unwrap_or_default()).await.map_err(|_| Fault::Silent)?;
        taken = end;
        if let Some(found) = found {
            return Ok(found);
        }
    }
}

async fn peek(stream: &Stream, timer: &mut Timer, room: &mut [u8]) -> Result<usize, Fault> {
    poll_fn(|context| match stream.poll_peek(context, room) {
        Poll::Ready(Ok(count)) => Poll::Ready(Ok(count)),
        Poll::Ready(Err(_)) => Poll::Ready(Err(Fault::Silent)),
        Poll::Pending => {
            ready!(timer.poll(context));
            Poll::Ready(Err(Fault::Late))
        }
    })
    .await
}

/// Takes what was seen already, so it never waits.
async fn consume(stream: &mut Stream, room: &mut [u8]) -> io::Result<()> {
    use tokio::io::AsyncReadExt;
    stream.read_exact(room).await.map(|_| ())
}
