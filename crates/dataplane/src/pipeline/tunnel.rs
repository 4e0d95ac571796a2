//! A request that has become a WebSocket: counted as one while it is open, and recorded once it has ended.

use std::time::Instant;

use crate::exchange::Exchange;
use crate::pipeline::account::{Account, Visit};
use crate::pipeline::end::End;
use crate::pipeline::{Local, delivery};
use crate::proxy::leg::Leg;
use crate::record::{Closed, WebSocketSlot, WorkerCounts};
use crate::snapshot::Route;
use crate::websocket::Settings;
use crate::websocket::places::Place;
use crate::websocket::tunnel::{self, Ends, Passed};
use crate::worker::Worker;

/// What a request that became a WebSocket came to.
#[derive(Clone, Copy, Debug)]
pub struct Tunnelled {
    pub began: Instant,
    pub passed: Passed,
    pub closed: Closed,
}

/// Hands the head to the client, then whatever either side sends to the other.
pub async fn run<E: Exchange>(
    worker: &Worker,
    visit: &Visit,
    (settings, place): (&Settings, &Place),
    mut leg: Leg,
    (exchange, local): (&mut E, &mut Local),
) -> Result<(), End> {
    let Local { account, timer, leave, .. } = local;
    let Some(route) = account.route(&visit.snapshot) else { return Ok(()) };
    let tunnelled = account.tunnelled();
    // Counted before the client can know that it is open.
    let open = Open::new(worker, route, &mut tunnelled.closed);
    if let Err(end) = delivery::flush(visit, exchange, timer).await {
        *open.closed = Closed::ClientGone;
        return Err(end);
    }
    let Some(service) = leg.upgrade() else { return Ok(()) };
    let leave = leave.branch();
    let closed = tunnel::run(
        Ends { client: exchange.upgrade(), service },
        (settings, place),
        (&worker.links.buffers, open.counts),
        (timer, &mut tunnelled.passed),
        |context| leave.poll_last(context),
    );
    *open.closed = closed.await;
    Ok(())
}

/// Counts the connection as a WebSocket instead of a request, however it ends.
struct Open<'a> {
    counts: &'a WebSocketSlot,
    requests: &'a WorkerCounts,
    closed: &'a mut Closed,
}

impl<'a> Open<'a> {
    fn new(worker: &'a Worker, route: &'a Route, closed: &'a mut Closed) -> Self {
        let (counts, requests) = (route.metrics.websocket(worker.index), worker.counts());
        counts.open.add(1);
        requests.in_flight.subtract(1);
        Self { counts, requests, closed }
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.counts.open.subtract(1);
        self.counts.closed(*self.closed);
        self.requests.in_flight.add(1);
    }
}

impl Account {
    /// From here on the request is a WebSocket.
    fn tunnelled(&mut self) -> &mut Tunnelled {
        let (began, passed) = (Instant::now(), Passed::default());
        self.tunnel.insert(Tunnelled { began, passed, closed: Closed::Stopped })
    }
}
