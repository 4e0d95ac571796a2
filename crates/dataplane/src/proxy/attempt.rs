//! One attempt at an instance: the request goes out while its answer comes in. Written as polls, because both
//! directions of one exchange must go on at the same time, and bounded by one timer that knows whom we wait for.
//! Which protocol the service speaks is the leg's business.

use std::task::{Context, Poll};
use std::time::Instant;

use tokio::sync::OwnedSemaphorePermit;

use crate::exchange::{Exchange, Piece};
use crate::http1::response_head::ResponseHead;
use crate::http1::trailers::Trailers;
use crate::io::buffer::Buffers;
use crate::io::timer::Timer;
pub use crate::proxy::fault::Fault;
use crate::proxy::head::OutgoingHead;
use crate::proxy::leg::Leg;
use crate::proxy::pace::Pace;
pub use crate::proxy::patience::Patience;
use crate::proxy::patience::Waiting;
pub use crate::proxy::replay::{Kept, Loss, Replay, Store};
use crate::proxy::withheld::Claimed;
use crate::proxy::writing::{Broken, Write};
use crate::proxy::{Forward, Links};
use crate::refusal::UpstreamFault;
use crate::request::{Framing, Request};
use crate::websocket::handshake::Handshake;

/// Interim answers to one request; a service that sends more than this is not going to answer.
const MAX_INTERIMS: u32 = 16;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Upload {
    Running,
    Complete,
    /// The service stopped listening; what it answered may still be there to be read.
    Broken,
}

/// What an attempt borrows from its connection: memory that outlives it.
pub struct Means<'a, E> {
    pub exchange: &'a mut E,
    pub request: &'a Request,
    /// Where the request asks for a WebSocket.
    pub handshake: Option<&'a Handshake>,
    pub timer: &'a mut Timer,
    pub response: &'a mut ResponseHead,
    /// Memory for what is written to the service.
    pub outgoing: &'a mut Vec<u8>,
    /// What was taken of the request's body and is kept. It goes out with the head, in every attempt.
    pub body: &'a mut Vec<u8>,
    pub replay: Replay<'a>,
}

/// One attempt: a leg to an instance, and who is waited for. The request is only read, so another can be made after it.
pub struct Attempt {
    leg: Leg,
    patience: Patience,
    upload: Upload,
    /// It is complete, and the leg has written all of it.
    is_sent: bool,
    waiting: Waiting,
    interims: u32,
    /// Once the client has been waited for.
    pace: Option<Box<Pace>>,
    /// What the client may not say in trailers either.
    claimed: Option<Claimed>,
}

impl Attempt {
    /// Hands the head to the leg, and the body as far as it is in memory. The deadline is whatever the timer has.
    pub fn new<E: Exchange>(
        forward: &Forward<'_>,
        head: &OutgoingHead<'_>,
        mut leg: Leg,
        means: &Means<'_, E>,
    ) -> Self {
        let is_whole = means.exchange.body_is_complete();
        leg.begin(head, means.body, is_whole);
        let upload = if is_whole { Upload::Complete } else { Upload::Running };
        let patience = forward.patience;
        let claimed = head.withheld.claimed.clone();
        let (waiting, is_sent) = (Waiting::Service, false);
        Self { leg, patience, upload, is_sent, waiting, interims: 0, pace: None, claimed }
    }

    /// The response head has been read into `means.response`; what follows it is the body.
    pub fn poll_head<E: Exchange>(
        &mut self,
        context: &mut Context<'_>,
        means: &mut Means<'_, E>,
    ) -> Poll<Result<(), Fault>> {
        self.poll_upload(context, means)?;
        while let Poll::Ready(result) = self.leg.poll_head(context, means.request.method, means.response) {
            result?;
            if self.leg.has_consented(means.handshake, means.response)?
                || !(100..200).contains(&means.response.status)
            {
                return Poll::Ready(Ok(()));
            }
            self.pass_interim(means)?;
        }
        if self.interims > 0
            && let Poll::Ready(Err(_)) = means.exchange.poll_flush(context)
        {
            return Poll::Ready(Err(Fault::ClientGone));
        }
        let body_is_in = means.exchange.body_is_complete();
        if body_is_in && means.exchange.poll_gone(context).is_ready() {
            return Poll::Ready(Err(Fault::ClientGone));
        }
        self.poll_patience(context, means.timer)
    }

    /// Interim answers go on to the client, but for `100`, which is ours to say, and `101`, which we never asked for.
    fn pass_interim<E: Exchange>(&mut self, means: &mut Means<'_, E>) -> Result<(), Fault> {
        self.interims += 1;
        let Means { exchange, response, replay, body, .. } = means;
        if response.status == 101 || self.interims > MAX_INTERIMS {
            return Err(Fault::Upstream(UpstreamFault::InvalidResponse));
        }
        if response.status != 100 {
            exchange.interim(response);
            replay.lose(Loss::Answered, body);
        }
        response.clear();
        Ok(())
    }

    /// A client that does not take the response is what ends this exchange, whatever the upload waits for.
    fn upload_waits_for(&mut self, whom: Waiting, timer: &mut Timer) {
        if self.waiting != Waiting::ClientReads {
            self.must_wait_for(whom, timer);
        }
    }

    /// The same for the client's body, for which there is less time the more slowly it comes.
    fn wait_for_body(&mut self, timer: &mut Timer) {
        if matches!(self.waiting, Waiting::ClientReads | Waiting::ClientBody) {
            return;
        }
        self.waiting = Waiting::ClientBody;
        let (now, Patience { client_body, body_rate, .. }) = (Instant::now(), self.patience);
        let wait = match body_rate {
            0 => client_body,
            rate => self.pace.get_or_insert_default().wait(now, client_body, rate),
        };
        timer.set(self.patience.until(now, wait));
    }

    /// Some of the body that was waited for is here.
    fn body_came(&mut self, length: usize, timer: &mut Timer) {
        if let Some(pace) = &mut self.pace {
            pace.came(length, Instant::now());
        }
        if self.waiting == Waiting::ClientBody {
            self.upload_moved(timer);
        }
    }

    fn upload_moved(&mut self, timer: &mut Timer) {
        if self.waiting != Waiting::ClientReads {
            self.waiting = Waiting::Service;
            self.progressed(timer);
        }
    }

    fn client_read(&mut self, timer: &mut Timer) {
        if self.waiting == Waiting::ClientReads {
            self.waiting = Waiting::Service;
            self.progressed(timer);
        }
    }

    fn must_wait_for(&mut self, whom: Waiting, timer: &mut Timer) {
        if self.waiting != whom {
            self.waiting = whom;
            self.progressed(timer);
        }
    }

    /// The clock is read only where a body moves; a plain request runs on the deadline set at its start.
    fn progressed(&self, timer: &mut Timer) {
        let patience = self.patience.with(self.waiting);
        timer.set(self.patience.until(Instant::now(), patience));
    }

    fn poll_patience(&self, context: &mut Context<'_>, timer: &mut Timer) -> Poll<Result<(), Fault>> {
        timer.poll(context).map(|()| Err(self.patience.fault(self.waiting)))
    }

    /// Moves the request towards the service as far as it goes now.
    fn poll_upload<E: Exchange>(
        &mut self,
        context: &mut Context<'_>,
        means: &mut Means<'_, E>,
    ) -> Result<(), Fault> {
        while self.upload != Upload::Broken && !self.is_sent {
            if !self.write(context, means.timer) {
                return Ok(());
            }
            if self.upload == Upload::Complete {
                self.is_sent = true;
                return Ok(());
            }
            match self.pass_piece(context, means) {
                Poll::Ready(result) => result?,
                Poll::Pending => return Ok(()),
            }
        }
        Ok(())
    }

    /// True when the leg has written everything.
    fn write(&mut self, context: &mut Context<'_>, timer: &mut Timer) -> bool {
        loop {
            match self.leg.poll_write(context) {
                Poll::Ready(Ok(Write::Done)) => return true,
                Poll::Ready(Ok(Write::Moved)) => {
                    if self.upload == Upload::Running || self.waiting == Waiting::ClientBody {
                        self.upload_moved(timer);
                    }
                }
                Poll::Ready(Err(Broken)) => {
                    self.upload = Upload::Broken;
                    return false;
                }
                Poll::Pending => {
                    self.upload_waits_for(Waiting::Service, timer);
                    return false;
                }
            }
        }
    }

    /// The next piece goes from the client to the leg, or one of them is waited for.
    fn pass_piece<E: Exchange>(
        &mut self,
        context: &mut Context<'_>,
        means: &mut Means<'_, E>,
    ) -> Poll<Result<(), Fault>> {
        let Means { exchange, request, timer, body, replay, .. } = means;
        let Poll::Ready(piece) = exchange.poll_body(context) else {
            self.wait_for_body(timer);
            return Poll::Pending;
        };
        match piece.map_err(Fault::of_body)? {
            Piece::Data(data) => match self.leg.poll_send(context, data) {
                Poll::Ready(Ok(length)) => {
                    replay.keep(data.get(..length).unwrap_or_default(), body);
                    exchange.consume_body(length);
                    self.body_came(length, timer);
                    // The end of a body of known length is seen without waiting for anything.
                    if request.framing != Framing::Chunked && exchange.body_is_complete() {
                        self.end_upload(None);
                    }
                }
                Poll::Ready(Err(Broken)) => self.upload = Upload::Broken,
                Poll::Pending => {
                    self.upload_waits_for(Waiting::Service, timer);
                    return Poll::Pending;
                }
            },
            Piece::End => {
                let trailers = exchange.trailers();
                if trailers.is_some_and(|trailers| !trailers.is_empty()) {
                    replay.lose(Loss::Trailers, body);
                }
                self.end_upload(trailers);
            }
        }
        Poll::Ready(Ok(()))
    }

    fn end_upload(&mut self, trailers: Option<&Trailers>) {
        let cleaned = trailers.zip(self.claimed.as_ref()).map(|(trailers, claimed)| claimed.clean(trailers));
        self.leg.end_body(cleaned.as_ref().or(trailers));
        self.upload = Upload::Complete;
    }

    /// Passes the body on until its end has been handed to the client.
    pub fn poll_relay<E: Exchange>(
        &mut self,
        context: &mut Context<'_>,
        means: &mut Means<'_, E>,
        buffers: &mut Buffers,
    ) -> Poll<Result<(), Fault>> {
        self.poll_upload(context, means)?;
        loop {
            let data = self.leg.body()?;
            if !data.is_empty() {
                match means.exchange.poll_send(context, data) {
                    Poll::Ready(Ok(count)) => {
                        self.leg.consume(count);
                        self.client_read(means.timer);
                        continue;
                    }
                    Poll::Ready(Err(_)) => return Poll::Ready(Err(Fault::ClientGone)),
                    Poll::Pending => {
                        self.must_wait_for(Waiting::ClientReads, means.timer);
                        return self.poll_patience(context, means.timer);
                    }
                }
            }
            if self.leg.body_is_complete() {
                return Poll::Ready(Ok(()));
            }
            match self.poll_more(context, means.timer, buffers) {
                Poll::Ready(result) => result?,
                Poll::Pending => break,
            }
        }
        if let Poll::Ready(Err(_)) = means.exchange.poll_flush(context) {
            return Poll::Ready(Err(Fault::ClientGone));
        }
        let listening = self.upload == Upload::Running || means.exchange.poll_gone(context).is_pending();
        if !listening {
            return Poll::Ready(Err(Fault::ClientGone));
        }
        self.poll_patience(context, means.timer)
    }

    /// Reads more of the response's body.
    fn poll_more(
        &mut self,
        context: &mut Context<'_>,
        timer: &mut Timer,
        buffers: &mut Buffers,
    ) -> Poll<Result<(), Fault>> {
        match self.leg.poll_more(context, buffers) {
            Poll::Ready(result) => {
                self.waiting = Waiting::Service;
                self.progressed(timer);
                Poll::Ready(result)
            }
            Poll::Pending => {
                if self.upload != Upload::Running {
                    self.must_wait_for(Waiting::Service, timer);
                }
                Poll::Pending
            }
        }
    }

    /// Hands the end of the response to the client, and keeps the connection where both sides ended cleanly.
    pub fn finish<E: Exchange>(self, forward: &Forward<'_>, links: &Links, means: &mut Means<'_, E>) {
        let pass = means.request.accepts_trailers();
        means.exchange.end(self.leg.trailers().filter(|_| pass));
        let is_clean = self.upload == Upload::Complete && means.response.keep_alive;
        *means.outgoing = self.leg.finish(forward, links, is_clean);
    }

    /// The leg alone, once it is a WebSocket.
    pub fn into_leg(self) -> Leg {
        self.leg
    }

    /// Nobody wants this answer. What has come of it is dropped; where that was all, the connection is kept.
    pub fn discard<E: Exchange>(mut self, forward: &Forward<'_>, links: &Links, means: &mut Means<'_, E>) {
        while let Some(length) = self.leg.body().ok().map(<[u8]>::len).filter(|length| *length > 0) {
            self.leg.consume(length);
        }
        let is_over = self.upload == Upload::Complete && self.leg.body_is_complete();
        *means.outgoing = self.leg.finish(forward, links, is_over && means.response.keep_alive);
    }

    /// This answer goes to the client: from now on this is how long the rest may take, and nothing is kept any more.
    pub fn settle<E>(&mut self, patience: Patience, means: &mut Means<'_, E>) {
        self.patience = patience;
        self.progressed(means.timer);
        means.replay.lose(Loss::Answered, means.body);
    }

    /// Nothing of an answer has come.
    pub fn was_silent(&self) -> bool {
        self.leg.was_silent()
    }

    /// The place in the pool, for another attempt in its stead.
    pub fn take_place(&mut self) -> Option<OwnedSemaphorePermit> {
        self.leg.take_place()
    }

    /// In the trailers; in the head where there is nothing else.
    pub fn grpc_status<'h>(&'h self, response: &'h ResponseHead) -> Option<&'h [u8]> {
        let trailers = self.leg.trailers().into_iter().flat_map(Trailers::iter);
        let headers = response.headers.iter();
        let headers = headers.map(|header| (response.slice(header.name), response.slice(header.value)));
        trailers.chain(headers).find(|(name, _)| *name == b"grpc-status").map(|(_, value)| value)
    }

    /// The request has gone out whole; nothing more is expected from the client.
    pub fn upload_is_complete(&self) -> bool {
        self.upload == Upload::Complete
    }
}
