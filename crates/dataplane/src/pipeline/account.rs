//! The account of one request: what each stage decided, collected on the way and written on every outcome.

mod counting;
mod recording;
mod tracing;

use std::sync::Arc;
use std::time::Instant;

use crate::addresses::Country;
use crate::authorize::{Grant, GrantedBy};
use crate::balance::{BreakerTransition, Instance, Target};
use crate::caller::{Caller, CallerKind};
use crate::limit::{Ahead, Debts};
use crate::micros::micros;
use crate::pipeline::end::End;
use crate::pipeline::tunnel::Tunnelled;
use crate::pipeline::{Facts, Held, explanation};
use crate::proxy::Delays;
use crate::proxy::attempt::Fault;
use crate::proxy::trace::Trace;
use crate::record::TimeoutKind;
use crate::refusal::{CredentialFault, LimitState, Refusal};
use crate::request::Request;
use crate::snapshot::{Listener, Proxy, Route, Snapshot};
use crate::tenant::{Belonging, Tenant};
use crate::trail::{Awaited, Cause, Inputs, Rule, Stage, Trail};
use crate::worker::Worker;

const HEAD: Cause = Cause { stage: Stage::Intake, rule: Rule::None, awaited: Awaited::Head };

/// What a request is served with, from its first byte to its last.
pub struct Visit {
    pub snapshot: Arc<Snapshot>,
    pub listener: Arc<Listener>,
    /// When its first byte came.
    pub began: Instant,
    pub began_ms: u64,
    /// Of the moment at which its head was complete: what a client lets us wait for it is not the gateway's time, and no
    /// decision is as old as that.
    pub facts: Facts,
    /// The node is draining, or the listener is gone: the connection ends with this request.
    pub close: bool,
}

impl Visit {
    /// Asked when the answer's head is written: a drain may have begun while the request was under way.
    pub fn is_last(&self, worker: &Worker) -> bool {
        self.close || worker.node.is_draining()
    }

    /// Its head did not come at once, and is complete only now, or will never be.
    pub fn has_waited(&mut self, worker: &Worker, now: Instant) {
        (self.facts.now, self.facts.unix_ms) = (now, worker.unix_ms(now));
    }

    /// For how long the rest of its head was waited for, in microseconds; 0 where it came at once.
    fn waited(&self) -> u64 {
        if self.began == self.facts.now {
            return 0;
        }
        micros(self.facts.now.saturating_duration_since(self.began))
    }
}

#[derive(Default)]
pub struct Account {
    pub trail: Trail,
    pub status: u16,
    pub attempts: u32,
    /// The service said of a gRPC call that it failed, in a response that is none of HTTP's failures.
    pub call_failed: bool,
    trace: Option<Trace>,
    /// When the service was turned to, when the head of its answer was in, and when it was done.
    upstream_began: Option<Instant>,
    pub(super) answered: Option<Instant>,
    upstream_ended: Option<Instant>,
    /// What all attempts waited for before they could be sent.
    delays: Delays,
    /// When the record was written.
    ended: Option<Instant>,
    /// Between the stages and whoever does what they decided.
    pub(super) held: Option<Held>,
    pub limit: Option<LimitState>,
    /// What is charged when the response is over.
    pub debts: Option<Debts>,
    /// What is to be taken of shared limits before it is needed.
    pub ahead: Vec<Ahead>,
    /// Header lines of the gateway's own, for whatever the answer is: cookies of a login.
    pub cookies: Vec<u8>,
    /// Where a browser that is refused is sent instead.
    pub leads_to: Option<Box<str>>,
    route: Option<u32>,
    service: Option<u32>,
    caller: Option<Arc<Caller>>,
    tenant: Option<Arc<Tenant>>,
    pub(super) instance: Option<Arc<Instance>>,
    rate_limited: bool,
    /// Nobody was identified, which the route allows for a while.
    excused: bool,
    /// It is recorded although all went well and others of its kind are not.
    pub(super) is_notable: bool,
    error_type: Option<&'static str>,
    error_message: Option<String>,
    /// Where the client is; outer `None`: nobody has looked.
    country: Option<Option<Country>>,
    /// Where the request became a WebSocket.
    pub(super) tunnel: Option<Tunnelled>,
}

impl Account {
    /// Nothing is decided yet, but for its head it may have been waited.
    pub fn begin(&mut self, visit: &Visit) {
        self.forget();
        let waited = visit.waited();
        if waited > 0 {
            self.trail.waited(HEAD, 0, waited);
        }
    }

    /// Forgets the last request: each part by itself, since most were not used and none need be moved.
    fn forget(&mut self) {
        // Without `..`, so that no part can be forgotten here.
        #[rustfmt::skip]
        let Self {
            trail, status, attempts, call_failed, trace, upstream_began, answered, upstream_ended, delays, ended, held, limit, debts, ahead,
            cookies, leads_to, route, service, caller, tenant, instance, rate_limited, excused, is_notable, error_type, error_message,
            country, tunnel,
        } = self;
        trail.clear();
        (*status, *attempts) = (0, 0);
        (*call_failed, *rate_limited, *excused, *is_notable) = (false, false, false, false);
        (*upstream_began, *answered, *upstream_ended, *ended) = (None, None, None, None);
        *delays = Delays::default();
        (*route, *service) = (None, None);
        (*trace, *limit, *country, *tunnel) = (None, None, None, None);
        (*held, *debts, *leads_to) = (None, None, None);
        (*caller, *tenant, *instance) = (None, None, None);
        (*error_type, *error_message) = (None, None);
        ahead.clear();
        cookies.clear();
    }

    /// The same request is decided once more. What it has waited for, it has waited for.
    pub fn begin_again(&mut self) {
        let mut trail = std::mem::take(&mut self.trail);
        trail.begin_again();
        self.forget();
        self.trail = trail;
    }

    pub fn routed<'s>(&mut self, snapshot: &'s Snapshot, route: u32) -> Result<&'s Route, Refusal> {
        self.route = Some(route);
        self.trail.push(Stage::Route, "matched", Rule::Route(route), Inputs::none());
        snapshot.routes.get(route as usize).ok_or(Refusal::Internal)
    }

    /// The listener answered, before any route.
    pub fn redirected(&mut self) {
        self.trail.push(Stage::Listener, "redirected", Rule::None, Inputs::none());
    }

    pub fn route<'s>(&self, snapshot: &'s Snapshot) -> Option<&'s Route> {
        self.route.and_then(|route| snapshot.routes.get(route as usize))
    }

    pub fn route_rule(&self) -> Rule {
        self.route.map_or(Rule::None, Rule::Route)
    }

    /// Where the client is, looked up once for all who ask.
    pub fn look_up_country(&mut self, snapshot: &Snapshot, request: &Request) -> Option<Country> {
        *self.country.get_or_insert_with(|| snapshot.screening.grounds.country(request.client))
    }

    pub fn service(&self) -> Option<u32> {
        self.service
    }

    /// The instance that was picked.
    pub fn instance_name(&self) -> Option<&str> {
        self.instance.as_ref().map(|instance| &*instance.name)
    }

    pub fn caller(&self) -> Option<&Arc<Caller>> {
        self.caller.as_ref()
    }

    pub fn identified(&mut self, route: &Route, caller: Arc<Caller>) -> Arc<Caller> {
        if let Some(policy) = &route.auth {
            let rule = caller.identity.map_or(Rule::None, Rule::Identity);
            let mut inputs = self.trail.inputs();
            if caller.cached {
                inputs = inputs.fixed("signature", "verified_before");
            }
            if let Some(key) = &caller.key_id {
                inputs = inputs.text("key", key);
            }
            self.excused = policy.has_grace_period() && caller.kind == CallerKind::Anonymous;
            if self.excused {
                inputs = inputs.fixed("grace_period", CredentialFault::Missing.text());
            }
            self.trail.push(Stage::Authenticate, caller.kind.text(), rule, inputs);
        }
        self.caller = Some(Arc::clone(&caller));
        caller
    }

    pub fn tenant(&self) -> Option<&Tenant> {
        self.tenant.as_deref()
    }

    pub fn belongs(&mut self, belonging: Option<Belonging>) -> Option<Arc<Tenant>> {
        let Belonging { tenant, from } = belonging?;
        let inputs = self.trail.inputs().text("tenant", &tenant.name).fixed("from", from);
        self.trail.push(Stage::Authorize, "belongs", Rule::None, inputs);
        self.tenant = Some(Arc::clone(&tenant));
        Some(tenant)
    }

    pub fn granted(&mut self, route: &Route, grant: &Grant) {
        if route.policy.is_demanding() {
            let rule = match grant.by() {
                GrantedBy::Nothing => Rule::None,
                GrantedBy::Permission(holder) => Rule::Permission(holder),
                GrantedBy::Rule(rule) => Rule::Condition(rule),
            };
            self.trail.push(Stage::Authorize, "granted", rule, Inputs::none());
        }
    }

    pub fn serviced(&mut self, proxy: &Proxy) {
        self.service = Some(proxy.service);
    }

    pub fn targeted(&mut self, target: &Target) {
        let rule = self.service.map_or(Rule::None, Rule::Service);
        self.trail.push(Stage::Balance, "picked", rule, target.inputs());
        self.instance = Some(Arc::clone(&target.instance));
    }

    /// The answer to this request opened the breaker.
    pub fn interrupted(&mut self, opened: &BreakerTransition) {
        let inputs = explanation::breaker(Inputs::none(), &opened.interruption());
        let rule = self.service.map_or(Rule::None, Rule::Service);
        self.trail.push(Stage::Balance, "breaker_opened", rule, inputs);
    }

    /// What an attempt waited for.
    pub fn delayed(&mut self, delays: Delays) {
        self.delays = self.delays.and(delays);
    }

    /// The service is done; gives the moment, so that nobody reads the clock again for it.
    pub fn upstream_ended(&mut self) -> Instant {
        let now = Instant::now();
        self.upstream_ended = Some(now);
        now
    }

    /// Nothing is to be counted or written of this request, however it ends.
    pub fn unaccounted(&mut self) {
        self.ended = Some(Instant::now());
    }

    /// When the last request of this connection ended.
    pub fn ended_at(&self) -> Option<Instant> {
        self.ended
    }

    pub fn refused(&mut self, refusal: &Refusal) {
        if let Some(state) = refusal.limit() {
            self.rate_limited = true;
            self.limit = Some(state);
        }
        let refused = explanation::of(refusal, self.service, self.route);
        self.error_type = Some(refused.error_type);
        self.error_message = Some(refused.message);
        self.trail.push(refused.stage, "refused", refused.rule, refused.inputs);
        self.status = refusal.status();
        // What was refused before a service was asked never had one.
        if self.attempts == 0 {
            self.instance = None;
        }
    }

    /// What the service said of its failure stays with the gateway.
    pub fn intercepted(&mut self) {
        self.trail.push(Stage::Respond, "intercepted", Rule::None, Inputs::none());
    }

    /// Which file is the answer.
    pub fn file(&mut self, name: &str) {
        self.trail.push(Stage::Respond, "file", Rule::None, Inputs::none().text("name", name));
    }

    /// How it ended, in every counter that asks why.
    pub fn close(&mut self, worker: &Worker, visit: &Visit, end: Option<&End>) {
        if let Some(Tunnelled { passed, closed, .. }) = self.tunnel {
            let inputs = Inputs::none().fixed("closed", closed.text());
            let inputs = inputs.number("messages_in", passed.messages_in);
            let inputs = inputs.number("messages_out", passed.messages_out);
            self.trail.push(Stage::Proxy, "tunnelled", Rule::None, inputs);
        }
        self.ended(worker, end);
        self.count(worker, visit, end);
    }

    fn ended(&mut self, worker: &Worker, end: Option<&End>) {
        let (error, message) = match end {
            None | Some(End::Refused(_)) => return,
            Some(End::ClientGone) => {
                ("client_closed", "the client closed its connection before the response was complete")
            }
            Some(End::ClientStalled) => {
                ("client_stalled", "the client took nothing of the response for too long")
            }
            Some(End::Cut(Fault::UpstreamTimeout)) => {
                ("upstream_timeout", "the service stopped in the middle of its response")
            }
            Some(End::Cut(Fault::Deadline)) => {
                ("deadline_exceeded", "the caller's deadline passed before the response was complete")
            }
            Some(End::Cut(Fault::Upstream(fault))) => {
                (fault.text(), "the service failed in the middle of its response")
            }
            Some(End::Cut(_)) => ("request_body", "the request failed in the middle of its response"),
            Some(End::FileChanged) => ("file_changed", "the file was changed while it was sent"),
            Some(End::Panicked) => ("internal_error", "the gateway failed; this is a bug"),
            Some(End::Stopped) => ("stopped", "the gateway was stopped before the response was complete"),
        };
        match end {
            Some(End::ClientGone) => worker.counts().client_aborts.add(1),
            Some(End::ClientStalled) => worker.counts().timed_out(TimeoutKind::Write),
            Some(End::Cut(_) | End::Refused(_) | End::FileChanged | End::Panicked | End::Stopped) | None => {}
        }
        if self.status == 0 {
            self.status = match end {
                Some(End::ClientGone) => 499,
                Some(End::Panicked) => 500,
                Some(End::Stopped) => 503,
                Some(End::ClientStalled | End::Cut(_) | End::Refused(_) | End::FileChanged) | None => 0,
            };
        }
        self.error_type = Some(error);
        self.error_message = Some(message.to_owned());
        self.trail.push(Stage::Proxy, "broken", Rule::None, Inputs::none().fixed("error", error));
    }
}
