//! What happens before the first request: on a secure listener the handshake, on a plain one nothing.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Instant;

use crate::io::stream::Stream;
use crate::listener::accept::Guard;
use crate::record::Handshake;
use crate::tls::{HandshakeFault, Secured};
use crate::worker::Worker;

/// Gives the stream that requests come on, and what its handshake proved; `None` where that failed and was counted.
pub async fn open(
    worker: &Worker,
    guard: &Guard,
    is_idle: &Cell<bool>,
    stream: Stream,
) -> Option<(Stream, Option<Arc<Secured>>)> {
    let listener = Arc::clone(&guard.listener);
    let Some(tls) = &listener.tls else { return Some((stream, None)) };
    let metrics = listener.metrics.worker(worker.index);
    // Nobody waits for an answer yet: a node that drains need not wait for it either.
    is_idle.set(true);
    metrics.handshakes_open.add(1);
    let counted = Counted { worker, listener: &listener };
    // In a box: a handshake is large, and a plain connection's task should not have room for one.
    let accepted = Box::pin(tls.accept(stream, worker.unix_ms(Instant::now()))).await;
    drop(counted);
    is_idle.set(false);
    match accepted {
        Ok((stream, secured, is_resumed)) => {
            metrics.handshake(if is_resumed { Handshake::Resumed } else { Handshake::Full });
            Some((stream, Some(Arc::new(secured))))
        }
        Err(fault) => {
            metrics.handshake(match fault {
                HandshakeFault::TooMany => Handshake::Refused,
                HandshakeFault::TooSlow => Handshake::TimedOut,
                HandshakeFault::Failed => Handshake::Failed,
            });
            None
        }
    }
}

/// A handshake in progress, counted out however it ends.
struct Counted<'a> {
    worker: &'a Worker,
    listener: &'a crate::snapshot::Listener,
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.listener.metrics.worker(self.worker.index).handshakes_open.subtract(1);
    }
}
