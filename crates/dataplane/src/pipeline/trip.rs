//! What the attempts of one request have in common, and what each of them is made of.

use std::cell::Cell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::balance::{Instance, Service, Target};
use crate::caller::Caller;
use crate::http1::response_head::ResponseHead;
use crate::io::address::authority;
use crate::limit::Permit;
use crate::pipeline::Socket;
use crate::pipeline::account::{Account, Visit};
use crate::proxy::attempt::{Fault, Patience, Store};
use crate::proxy::grpc::Call;
use crate::proxy::head::{CountryHeader, OutgoingHead};
use crate::proxy::retry::Hedge;
use crate::proxy::trace::Trace;
use crate::proxy::{Answered, Delays, Forward, Protocol};
use crate::record::ServiceSlot;
use crate::request::{Framing, Method, Request};
use crate::snapshot::document::HostHeader;
use crate::snapshot::{Proxy, Route, ServiceEntry};
use crate::worker::Worker;

/// What is the same for every attempt.
pub struct Trip<'a> {
    pub worker: &'a Worker,
    pub visit: &'a Visit,
    pub request: &'a Request,
    pub route: &'a Route,
    pub proxy: &'a Proxy,
    pub entry: &'a ServiceEntry,
    pub permit: &'a Permit,
    pub socket: Option<&'a Socket>,
    pub trace: Trace,
    /// When the service was turned to: whatever was waited for before that is not the service's time.
    pub began: Instant,
    /// Where the client is, if services are told.
    pub country: Option<CountryHeader<'a>>,
}

impl Trip<'_> {
    /// A request that is made more often than once where its first attempt is slow: a read that has no body to be read.
    pub fn hedge(&self) -> Option<&Hedge> {
        let hedge = self.route.hedge.as_deref()?;
        let is_read = matches!(self.request.method, Method::Get | Method::Head);
        (is_read && self.request.framing == Framing::None && self.socket.is_none()).then_some(hedge)
    }

    /// Each request brings a share of a further attempt.
    pub fn earn(&self, target: &Target) {
        let (retry, hedge) = (self.route.retry.as_deref(), self.route.hedge.as_deref());
        if let Some(budget) = retry.map(|retry| &retry.budget).or(hedge.map(|hedge| &hedge.budget)) {
            target.service.retry_budget.earn(budget, self.began);
        }
    }

    /// Where a body is kept for another attempt, on a route that has them.
    pub fn store(&self) -> Option<Store<'_>> {
        let retry = self.route.retry.as_deref()?;
        let (node, room) = (&self.worker.node.kept_bodies, self.visit.snapshot.bounds.kept_bodies);
        retry.may_arrive_twice(self.request).then(|| Store::new(retry.max_body, node, room))
    }

    /// The first attempt at this instance; further ones change what they must.
    pub fn forward<'t>(&'t self, target: &'t Target) -> Forward<'t> {
        let ServiceEntry { pool, protocol, queue, .. } = self.entry;
        let call = match protocol {
            Protocol::Http1 => None,
            Protocol::Http2(_) => Call::of(self.request),
        };
        Forward {
            instance: &target.instance,
            tls: target.service.tls.as_deref(),
            pool,
            queue,
            protocol: *protocol,
            call,
            patience: self.patience(call),
            now: self.began,
            delays: Cell::default(),
        }
    }

    /// An attempt after the first, or beside it. What is left of the route's timeout is for it and all that follow.
    pub fn further<'t>(&'t self, target: &'t Target, began: Instant) -> Forward<'t> {
        let mut forward = self.forward(target);
        forward.now = began;
        forward.patience.answer_by = Some(self.deadline());
        forward
    }

    /// All attempts together end then.
    pub fn deadline(&self) -> Instant {
        self.began + self.route.timeout
    }

    /// How long the service may be silent before the head of its answer.
    fn attempt_timeout(&self) -> Duration {
        let per_try = self.route.retry.as_ref().and_then(|retry| retry.per_try_timeout);
        per_try.map_or(self.route.timeout, |per_try| per_try.min(self.route.timeout))
    }

    fn patience(&self, call: Option<Call>) -> Patience {
        let listener = &self.visit.listener;
        Patience {
            service: self.attempt_timeout(),
            // Who streams may say nothing until the other side has: then the route's patience is for both.
            client_body: call
                .map_or(listener.body_timeout, |_| listener.body_timeout.max(self.route.timeout)),
            body_rate: call.map_or(listener.min_body_rate, |_| 0),
            client_reads: listener.write_timeout,
            deadline: call.and_then(|call| call.deadline(self.visit.facts.now)),
            answer_by: None,
        }
    }

    pub fn head<'h>(&'h self, path: &'h [u8], instance: &'h Instance) -> OutgoingHead<'h> {
        let host = match self.proxy.host {
            HostHeader::Preserve => None,
            HostHeader::Instance => Some(authority(&instance.name).as_bytes()),
        };
        OutgoingHead {
            request: self.request,
            path,
            host,
            caller: self.caller(),
            tenant: self.permit.grant().tenant().map(|tenant| &*tenant.name),
            trace: &self.trace,
            country: self.country,
            changes: &self.route.request_headers,
            withheld: &self.route.withheld,
            handshake: self.socket.map(|socket| &socket.handshake),
        }
    }

    pub fn metrics(&self) -> &ServiceSlot {
        self.entry.metrics.worker(self.worker.index)
    }

    pub fn service(&self) -> Option<&Arc<Service>> {
        self.visit.snapshot.services.get(self.proxy.service)
    }

    pub fn caller(&self) -> &Caller {
        self.permit.grant().caller()
    }

    /// An attempt failed, and another follows.
    pub fn count_fault(&self, fault: &Fault) {
        if let Fault::Upstream(fault) | Fault::Gone(fault) = fault {
            self.metrics().failed(*fault);
        } else if *fault == Fault::UpstreamTimeout {
            self.metrics().timed_out();
        }
    }

    /// What an attempt waited for, and what it cost once it was answered.
    pub fn count_attempt(&self, sent: &Result<Answered, Fault>, delays: Delays, account: &mut Account) {
        account.delayed(delays);
        let Ok(Answered { resent, opened, .. }) = *sent else { return };
        account.attempts += u32::from(resent);
        if resent {
            self.metrics().resent.add(1);
        }
        if opened {
            self.metrics().opened.add(1);
        }
    }
}

/// Tells what the head of an answer says of the load of its instance, where a rule asks.
pub fn note_load(target: &Target, response: &ResponseHead) {
    if let Some(load) = target.load_header().and_then(|header| response.value(header)) {
        target.reported(load);
    }
}
