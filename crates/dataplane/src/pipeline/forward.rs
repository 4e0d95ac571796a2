//! The proxied request: its head goes out, the answer comes back, the breaker learns how it went.

use std::time::Instant;

use crate::balance::{Outcome, Target};
use crate::exchange::Exchange;
use crate::http1::response_framing::ResponseFraming;
use crate::http1::response_head::ResponseHead;
use crate::http1::response_names::KnownResponse;
use crate::intake;
use crate::pipeline::account::{Account, Visit};
use crate::pipeline::end::{End, cut, end_of};
use crate::pipeline::trip::{Trip, note_load};
use crate::pipeline::{Held, Local, delivery, retrying, signed, tunnel};
use crate::proxy::attempt::{Attempt, Fault, Loss, Means, Patience, Replay};
use crate::proxy::head::CountryHeader;
use crate::proxy::leg::Leg;
use crate::proxy::{self, Answered, Forward};
use crate::refusal::{Refusal, UpstreamFault};
use crate::request::{Framing, Request};
use crate::respond;
use crate::respond::compress::Coding;
use crate::respond::compress::coded::{self as compress, Coded};
use crate::respond::refuse::Failure;
use crate::snapshot::Proxy;
use crate::snapshot::document::PathParameters;
use crate::worker::Worker;

pub async fn forward<E: Exchange>(
    worker: &Worker,
    visit: &Visit,
    request: &Request,
    (proxy, held): (&Proxy, &mut Held),
    (exchange, local): (&mut E, &mut Local),
) -> Result<(), End> {
    let Some(route) = local.account.route(&visit.snapshot) else { return Err(Refusal::Internal.into()) };
    forwarded_path(proxy, request, &mut local.path)?;
    exchange.limit_body(route.max_body);
    let (trace, began) = local.account.attempted(visit, request);
    let Held { permit, target: Some(target), socket, .. } = &mut *held else {
        return Err(Refusal::Internal.into());
    };
    let entry = visit.snapshot.service_entries.get(proxy.service as usize).ok_or(Refusal::Internal)?;
    let (socket, country) = (socket.as_deref(), told_country(visit, request, &mut local.account));
    let trip = Trip { worker, visit, request, route, proxy, entry, permit, socket, trace, began, country };
    let mut coded = Coded::new(&mut *exchange, compressing(worker, visit));
    let (result, ended) = trip.make(&mut coded, local, target).await;
    let outcome = outcome(&result, &local.account);
    // Before the client has taken the answer: a slow reader must not keep the breaker from its verdict.
    if let Some(opened) = target.conclude(outcome, ended) {
        local.account.interrupted(&opened);
    }
    held.target = None;
    match result? {
        Carried::Whole => {
            let flushed = delivery::flush(visit, &mut coded, &mut local.timer).await;
            count_compressed(worker, &coded);
            flushed
        }
        Carried::Upgraded(leg) => {
            drop(coded);
            // From here on it is no request in flight: it holds its place on the route, and those of its permit.
            held.admission = None;
            let (Some(settings), Some(socket)) = (&proxy.websocket, &held.socket) else {
                return Err(Refusal::Internal.into());
            };
            tunnel::run(worker, visit, (settings, &socket.place), *leg, (exchange, local)).await
        }
        Carried::Intercepted(failure) => {
            drop(coded);
            local.account.intercepted();
            delivery::replace(worker, visit, request, failure, (exchange, local)).await
        }
    }
}

fn count_compressed<E: Exchange>(worker: &Worker, coded: &Coded<'_, E>) {
    if let Some(sizes) = coded.sizes() {
        worker.counts().compressed(sizes.algorithm as usize, sizes.before, sizes.after);
    }
}

/// Where the client is, for services that are told.
fn told_country<'v>(visit: &'v Visit, request: &Request, account: &mut Account) -> Option<CountryHeader<'v>> {
    let name = visit.snapshot.screening.country_header.as_deref()?;
    Some(CountryHeader { name, country: account.look_up_country(&visit.snapshot, request) })
}

fn compressing<'a>(worker: &'a Worker, visit: &Visit) -> compress::Means<'a> {
    compress::Means {
        encoders: &worker.encoders,
        under_way: &worker.node.compressions,
        maximum: visit.snapshot.bounds.compressions,
    }
}

/// What came of a response whose head was there.
#[derive(Debug)]
enum Carried {
    Whole,
    /// The head of the 101 is written; the service's side is a WebSocket.
    Upgraded(Box<Leg>),
    /// The route tells failures of its service in the gateway's words: nothing has been sent yet.
    Intercepted(Failure),
}

/// The path that the service sees; what `strip_prefix` and `rewrite` made is checked like any other (threats: Path).
pub fn forwarded_path(proxy: &Proxy, request: &Request, path: &mut Vec<u8>) -> Result<(), Refusal> {
    path.clear();
    if proxy.forwarding.is_identity() {
        path.extend_from_slice(request.slice(request.path));
        return Ok(());
    }
    let mut changed = Vec::new();
    proxy.forwarding.forward_path(request.path(), &mut changed);
    intake::canonical_path(&changed, PathParameters::Keep, path).map_err(Refusal::Malformed)
}

/// How the request ended for breaker and health (requirement BH-12).
fn outcome(result: &Result<Carried, End>, account: &Account) -> Outcome {
    match result {
        Ok(_) if account.call_failed => Outcome::FailedCall,
        Ok(_) => Outcome::Answered(account.status),
        Err(End::Refused(Refusal::BadGateway(
            UpstreamFault::ConnectionRefused
            | UpstreamFault::ConnectionTimeout
            | UpstreamFault::ConnectionFailed
            | UpstreamFault::TlsHandshakeFailed
            | UpstreamFault::TlsExpired
            | UpstreamFault::TlsUntrusted
            | UpstreamFault::TlsWrongName
            | UpstreamFault::TlsInvalid,
        ))) => Outcome::Unreachable,
        // It was not asked, and is no worse for what it does not speak.
        Err(End::Refused(Refusal::BadGateway(UpstreamFault::NoExtendedConnect))) => Outcome::Neutral,
        Err(End::Refused(Refusal::BadGateway(_) | Refusal::UpstreamTimeout)) => Outcome::Failure,
        Err(End::Cut(Fault::Upstream(_) | Fault::UpstreamTimeout)) => Outcome::Failure,
        Err(
            End::Refused(_)
            | End::ClientGone
            | End::ClientStalled
            | End::Cut(_)
            | End::FileChanged
            | End::Panicked
            | End::Stopped,
        ) => Outcome::Neutral,
    }
}

impl Trip<'_> {
    /// Gives also when the service was done.
    async fn make<E: Exchange>(
        &self,
        exchange: &mut Coded<'_, E>,
        local: &mut Local,
        target: &mut Target,
    ) -> (Result<Carried, End>, Instant) {
        let Local { account, timer, response, outgoing, body, path, .. } = local;
        let (request, handshake) = (self.request, self.socket.map(|socket| &socket.handshake));
        response.clear();
        let replay = Replay::new(self.store());
        self.earn(target);
        if !has_arrived(request, exchange) {
            target.uploads();
        }
        let mut means = Means { exchange, request, handshake, timer, response, outgoing, body, replay };
        let result = self.carry(path, &mut means, account, target).await;
        if means.replay.loss() == Some(Loss::NodeIsFull) {
            self.worker.counts().retry_bodies_dropped.add(1);
        }
        (result, account.upstream_ended())
    }

    async fn carry<E: Exchange>(
        &self,
        path: &[u8],
        means: &mut Means<'_, Coded<'_, E>>,
        account: &mut Account,
        target: &mut Target,
    ) -> Result<Carried, End> {
        let mut forward = self.forward(target);
        let _held = match signed::most(self) {
            None => proxy::prepare(means).await.map(|()| None).map_err(end_of)?,
            // On the heap, so that other requests carry nothing of it about.
            Some(most) => Some(Box::pin(signed::gather(self, most, &mut forward, means, account)).await?),
        };
        let (links, is_hedged) = (&self.worker.links, self.hedge().is_some());
        let head = self.head(path, &target.instance);
        // Where attempts race, the first is made with the others.
        let mut sent = if is_hedged {
            Err(Fault::Unprocessed)
        } else {
            proxy::send(&forward, &head, links, means).await
        };
        self.count_attempt(&sent, forward.delays.get(), account);
        if is_hedged || retrying::may_follow(self, &sent, means) {
            // On the heap, so that requests which are sent once carry nothing of it about.
            Box::pin(retrying::persist(self, path, means, (account, target), &mut sent)).await;
            forward = self.forward(target);
        }
        let Answered { attempt, .. } = sent.as_mut().map_err(|fault| end_of(fault.clone()))?;
        self.settle(attempt, &forward, means);
        let close = self.visit.is_last(self.worker) || !attempt.upload_is_complete();
        let now = heard(self.visit, means.response, account, target);
        // A call of gRPC has a form of its own for its failures.
        if self.route.error_pages.intercepts(account.status) && !self.request.is_grpc() {
            return Ok(Carried::Intercepted(failure(means.response)));
        }
        let date = self.worker.date(self.visit.facts.unix_ms);
        let facts = self.facts((now, &date), close, account, target);
        if account.status == 101 {
            return sent.map_err(end_of).and_then(|sent| upgraded(sent.attempt, &facts, means));
        }
        let coding = self.coding(means.exchange, means.response);
        respond::pass(means.exchange, &facts, means.response, coding);
        account.call_failed = proxy::relay(&forward, links, attempt, means).await.map_err(cut)?;
        if let Ok(sent) = sent {
            sent.attempt.finish(&forward, links, means);
        }
        Ok(Carried::Whole)
    }

    /// For the head of an answer that came in now, on this date.
    fn facts<'f>(
        &'f self,
        (now, date): (Instant, &'f [u8]),
        close: bool,
        account: &'f Account,
        target: &'f Target,
    ) -> respond::Facts<'f> {
        let elapsed = now.saturating_duration_since(self.visit.began);
        let (limit, cookie) = (account.limited(self.visit), target.cookie());
        let policy = Some(&self.route.response);
        let login = account.cookies.as_slice();
        respond::Facts { request: self.request, policy, limit, elapsed, date, close, cookie, login }
    }

    /// What follows the head has the patience of the route, and is not sent again.
    fn settle<E>(&self, attempt: &mut Attempt, forward: &Forward<'_>, means: &mut Means<'_, E>) {
        if self.route.retry.is_some() || self.route.hedge.is_some() {
            attempt.settle(Patience { service: self.route.timeout, ..forward.patience }, means);
        }
    }

    /// How the body goes out; the exchange is told.
    fn coding<E: Exchange>(&self, exchange: &mut Coded<'_, E>, response: &ResponseHead) -> Coding {
        let Some(compression) = &self.route.response.compression else { return Coding::Untouched };
        let coding = compression.choose(self.request, response);
        let Coding::Coded { algorithm, level } = coding else { return coding };
        // An answer to HEAD says what an answer to GET would be.
        if response.framing == ResponseFraming::None || exchange.compress(algorithm, level) {
            return coding;
        }
        self.worker.counts().compressions_skipped.add(1);
        Coding::Offered
    }
}

/// The head of the answer is in; gives the moment at which it was.
fn heard(visit: &Visit, response: &ResponseHead, account: &mut Account, target: &Target) -> Instant {
    let now = Instant::now();
    account.heard(visit, response, now);
    note_load(target, response);
    target.answered(response.status, now);
    now
}

/// Writes the head of the 101 and leaves the leg to whoever passes on what follows.
fn upgraded<E: Exchange>(
    attempt: Attempt,
    facts: &respond::Facts<'_>,
    means: &mut Means<'_, Coded<'_, E>>,
) -> Result<Carried, End> {
    let mut leg = attempt.into_leg();
    if leg.upgrade().is_none() {
        return Err(Refusal::BadGateway(UpstreamFault::InvalidResponse).into());
    }
    respond::pass(means.exchange, facts, means.response, Coding::Untouched);
    Ok(Carried::Upgraded(Box::new(leg)))
}

/// Is the whole body here already? Then nobody but the service decides how long the answer takes.
fn has_arrived(request: &Request, exchange: &impl Exchange) -> bool {
    match request.framing {
        Framing::None => true,
        Framing::Length(length) => exchange.body_in_hand() as u64 >= length,
        Framing::Chunked => exchange.body_is_complete(),
    }
}

fn failure(response: &ResponseHead) -> Failure {
    let told = response.known(KnownResponse::RetryAfter).and_then(|value| std::str::from_utf8(value).ok());
    Failure { status: response.status, retry_after: told.and_then(|seconds| seconds.parse().ok()) }
}
