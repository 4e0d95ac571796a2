//! One request on an HTTP/2 connection: a task of its own, so that no stream waits for another.

use std::cell::Cell;
use std::rc::Rc;

use h2::server::SendResponse;
use h2::{Reason, RecvStream};
use http::Request as Received;

use crate::listener::http2::exchange::Http2;
use crate::listener::http2::piece::Piece;
use crate::listener::http2::seat::Seat;
use crate::pipeline;
use crate::pipeline::account::Visit;
use crate::pipeline::end::End;
use crate::refusal::Refusal;
use crate::request::Peer;
use crate::worker::{Leave, Worker};

/// What the codec gives for a stream that has begun.
pub type Opened = (Received<RecvStream>, SendResponse<Piece>);

/// A request being served. It is counted out and recorded however that ends: a panic, the end of its connection and
/// the end of the worker, too.
struct Serving {
    worker: Rc<Worker>,
    visit: Visit,
    exchange: Http2,
    /// `None` once it has been given back.
    seat: Option<Box<Seat>>,
    is_cut: Rc<Cell<bool>>,
}

/// What a stream has to know of its connection.
#[derive(Clone)]
pub struct Carrier {
    pub peer: Peer,
    pub leave: Rc<Leave>,
    /// It has ended, so a stream that is dropped has lost its client.
    pub is_cut: Rc<Cell<bool>>,
}

pub async fn serve(worker: Rc<Worker>, visit: Visit, opened: Opened, carrier: Carrier) {
    let (received, mut respond) = opened;
    let (head, body) = received.into_parts();
    if head.uri.path().is_empty() && head.method != http::Method::CONNECT {
        // A request without `:path` is malformed (RFC 9113 section 8.3.1), and the codec has overlooked it.
        return respond.send_reset(Reason::PROTOCOL_ERROR);
    }
    let ends = body.is_end_stream();
    let Carrier { peer, leave, is_cut } = carrier;
    let address = peer.address;
    let mut seat = worker.seats.take(peer, leave);
    let read = pipeline::receive_fields(&head, ends, &visit.listener, address, &mut seat.request);
    let exchange = Http2::new(body, respond, &worker.seats.pieces);
    worker.counts().in_flight.add(1);
    let mut serving = Serving { worker, visit, exchange, seat: Some(seat), is_cut };
    serving.run(read).await;
}

impl Serving {
    async fn run(&mut self, read: Result<(), Refusal>) {
        let Self { worker, visit, exchange, seat, .. } = self;
        let Some(seat) = seat.as_deref_mut() else { return };
        let Seat { request, local } = seat;
        local.account.begin(visit);
        let intact = match read {
            Ok(()) => {
                exchange.expect(request);
                pipeline::answer(worker, visit, request, exchange, local).await
            }
            Err(refusal) => pipeline::reject(worker, visit, request, refusal, (exchange, local)).await,
        };
        if !intact {
            exchange.give_up();
        }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.worker.counts().in_flight.subtract(1);
        let Some(mut seat) = self.seat.take() else { return };
        if std::thread::panicking() {
            self.worker.counts().panics.add(1);
        }
        if seat.local.account.ended_at().is_none() {
            let is_gone = self.is_cut.get() && !std::thread::panicking();
            let end = if is_gone { End::ClientGone } else { End::of_abandoned() };
            let Seat { request, local } = &mut *seat;
            pipeline::abandon(&self.worker, &self.visit, request, end, (&self.exchange, local));
        }
        self.worker.seats.give_back(seat);
    }
}
