//! The proxied request: its head goes out, the answer comes back, the breaker learns how it went.

use std::time::Instant;

use crate::balance::{Outcome, Target};
use crate::exchange::Exchange;
use crate::intake;
use crate::limit::Permit;
use crate::pipeline::account::{Account, End, Visit, end_of};
use crate::pipeline::{Local, delivery};
use crate::proxy::attempt::{Fault, Means, Patience};
use crate::proxy::head::OutgoingHead;
use crate::proxy::trace::Trace;
use crate::proxy::{self, Forward};
use crate::refusal::{Refusal, UpstreamFault};
use crate::request::{Framing, Request};
use crate::respond;
use crate::snapshot::document::{HostHeader, PathParameters};
use crate::snapshot::{Proxy, Route, ServiceEntry};
use crate::worker::Worker;

/// Where a request goes, proved by every stage before.
pub struct Plan<'s> {
    pub proxy: &'s Proxy,
    pub permit: Permit,
    pub target: Target,
}

pub async fn forward<E: Exchange>(
    worker: &Worker,
    visit: &Visit,
    request: &Request,
    plan: Plan<'_>,
    (exchange, local): (&mut E, &mut Local),
) -> Result<(), End> {
    let Some(route) = local.account.route(&visit.snapshot) else { return Err(Refusal::Internal.into()) };
    forwarded_path(plan.proxy, request, &mut local.path)?;
    exchange.limit_body(route.max_body);
    let trip = Trip { worker, visit, request, route, plan: &plan };
    let (result, ended) = trip.make(exchange, local).await;
    let outcome = outcome(&result, local.account.status);
    // Before the client has taken the answer: a slow reader must not keep the breaker from its verdict.
    if let Some(opened) = plan.target.finish(outcome, ended) {
        local.account.interrupted(&opened);
    }
    result?;
    delivery::flush(visit, exchange, &mut local.timer).await
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
fn outcome(result: &Result<(), End>, status: u16) -> Outcome {
    match result {
        Ok(()) => Outcome::Answered(status),
        Err(End::Refused(Refusal::BadGateway(
            UpstreamFault::ConnectionRefused
            | UpstreamFault::ConnectionTimeout
            | UpstreamFault::ConnectionFailed,
        ))) => Outcome::Unreachable,
        Err(End::Refused(Refusal::BadGateway(_) | Refusal::UpstreamTimeout)) => Outcome::Failure,
        Err(End::Cut(Fault::Upstream(_) | Fault::UpstreamTimeout)) => Outcome::Failure,
        Err(
            End::Refused(_)
            | End::ClientGone
            | End::ClientStalled
            | End::Cut(_)
            | End::Panicked
            | End::Stopped,
        ) => Outcome::Neutral,
    }
}

struct Trip<'a> {
    worker: &'a Worker,
    visit: &'a Visit,
    request: &'a Request,
    route: &'a Route,
    plan: &'a Plan<'a>,
}

impl Trip<'_> {
    /// Gives also when the service was done.
    async fn make<E: Exchange>(&self, exchange: &mut E, local: &mut Local) -> (Result<(), End>, Instant) {
        let Local { account, timer, response, outgoing, path, .. } = local;
        let trace = Trace::of(self.request, &mut || fastrand::u64(..));
        account.attempted(trace.id());
        response.clear();
        let mut means = Means { exchange, timer, response, outgoing };
        let result = self.carry(&trace, path, &mut means, account).await;
        (result, account.upstream_ended())
    }

    async fn carry<E: Exchange>(
        &self,
        trace: &Trace,
        path: &[u8],
        means: &mut Means<'_, E>,
        account: &mut Account,
    ) -> Result<(), End> {
        let (forward, links) = (self.forward(), &self.worker.links);
        if !has_arrived(self.request, means.exchange) {
            self.plan.target.uploads();
        }
        let answered = proxy::send(&forward, &self.head(trace, path), links, means).await.map_err(end_of)?;
        self.count_connection(answered.resent, answered.reused);
        account.attempts = answered.attempts();
        let mut attempt = answered.attempt;
        let close = self.visit.is_last(self.worker) || !attempt.upload_is_complete();
        let (exchange, response) = attempt.parts();
        account.status = response.status;
        let now = Instant::now();
        self.plan.target.answered(response.status, now);
        let date = self.worker.date(self.visit.facts.unix_ms);
        let facts = respond::Facts {
            request: self.request,
            policy: Some(&self.route.response),
            limit: account.limit,
            elapsed: now.saturating_duration_since(self.visit.facts.now),
            date: &date,
            close,
            cookie: self.plan.target.cookie(),
        };
        respond::pass(exchange, &facts, response);
        proxy::relay(&forward, links, attempt).await.map_err(cut)
    }

    fn forward(&self) -> Forward<'_> {
        let listener = &self.visit.listener;
        Forward {
            request: self.request,
            instance: &self.plan.target.instance,
            pool: self.entry().map(|entry| entry.pool).unwrap_or_default(),
            patience: Patience {
                service: self.route.timeout,
                client_body: listener.body_timeout,
                client_reads: listener.write_timeout,
            },
            now: self.visit.facts.now,
        }
    }

    fn head<'h>(&'h self, trace: &'h Trace, path: &'h [u8]) -> OutgoingHead<'h> {
        let host = match self.plan.proxy.host {
            HostHeader::Preserve => None,
            HostHeader::Instance => Some(self.plan.target.instance.name.as_bytes()),
        };
        OutgoingHead {
            request: self.request,
            path,
            host,
            caller: self.plan.permit.grant().caller(),
            trace,
            changes: &self.route.request_headers,
            withheld: &self.route.withheld,
        }
    }

    fn entry(&self) -> Option<&ServiceEntry> {
        self.visit.snapshot.service_entries.get(self.plan.proxy.service as usize)
    }

    fn count_connection(&self, resent: bool, reused: bool) {
        let Some(entry) = self.entry() else { return };
        let metrics = entry.metrics.worker(self.worker.index);
        if resent {
            metrics.resent.add(1);
        }
        if resent || !reused {
            metrics.opened.add(1);
        }
    }
}

/// Is the whole body here already? Then nobody but the service decides how long the answer takes.
fn has_arrived(request: &Request, exchange: &impl Exchange) -> bool {
    match request.framing {
        Framing::None => true,
        Framing::Length(length) => exchange.body_in_hand() as u64 >= length,
        Framing::Chunked => exchange.body_is_complete(),
    }
}

/// A fault in the middle of a response: nothing can be answered any more.
fn cut(fault: Fault) -> End {
    match fault {
        Fault::ClientGone => End::ClientGone,
        Fault::ClientStalled => End::ClientStalled,
        Fault::Stale | Fault::Upstream(_) | Fault::UpstreamTimeout | Fault::Refused(_) => End::Cut(fault),
    }
}
