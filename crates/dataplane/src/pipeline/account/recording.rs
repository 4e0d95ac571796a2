//! The record of a request, and the measures of its route.

use std::time::Instant;

use super::{Account, Visit};
use crate::exchange::Exchange;
use crate::http1::response_head::ResponseHead;
use crate::micros::micros;
use crate::proxy::Delays;
use crate::record::{Chance, Entry, Kept, Kind, Policy, RouteMetrics, Sample, Times, Trace};
use crate::request::{Known, Request};
use crate::worker::Worker;

impl Account {
    /// One record, and the counters of the route. Last of all.
    pub fn write<E: Exchange>(
        &mut self,
        worker: &Worker,
        visit: &Visit,
        request: &Request,
        (exchange, response): (&E, &ResponseHead),
    ) {
        let now = Instant::now();
        self.ended = Some(now);
        self.settle(worker, visit, exchange.bytes_sent());
        let times = self.times(now, visit);
        let passed = self.tunnel.map(|tunnel| tunnel.passed).unwrap_or_default();
        let sample = Sample {
            status: self.status,
            total: times.total,
            overhead: times.overhead,
            upstream: times.upstream,
            request_bytes: u64::from(request.head_bytes) + exchange.body_received() + passed.bytes_in,
            response_bytes: exchange.bytes_sent() + passed.bytes_out,
        };
        let route = self.route(&visit.snapshot);
        // A service that fails at once is not a quick one.
        if let Some(concurrency) = route.and_then(|route| route.concurrency.as_ref())
            && let (Some(micros), None) = (sample.upstream, self.error_type)
        {
            concurrency.observe(micros);
        }
        let metrics = self.metrics(visit);
        let ended_ms = visit.began_ms + sample.total / 1_000;
        let id = self.sampled_trace();
        let trace = id.as_ref().map(|id| Trace { id, ended_ms });
        metrics.observe(worker.index, &sample, trace);
        if self.excused {
            metrics.excuse(worker.index);
        }
        if let Some(tenant) = &self.tenant {
            tenant.metrics.observe(worker.index, self.status, self.rate_limited);
        }
        visit.listener.metrics.worker(worker.index).asked(request.version);
        if visit.snapshot.screening.record_country {
            self.look_up_country(&visit.snapshot, request);
        }
        self.begin_trace(visit, request);
        self.tally(worker, visit, request, &sample);
        self.tell_waits(worker);
        self.record(worker, visit, (request, response), (&sample, times));
    }

    /// What was waited for is told by the decisions, and counted.
    fn tell_waits(&mut self, worker: &Worker) {
        if !self.trail.waits().is_empty() {
            self.trail.settle();
            worker.counts().waits.count(self.trail.waits());
        }
    }

    /// For roll-ups and alerts, whether there is a record or not.
    fn tally(&self, worker: &Worker, visit: &Visit, request: &Request, sample: &Sample) {
        let census = &worker.node.census;
        if !census.is_wanted() {
            return;
        }
        let entries = &visit.snapshot.service_entries;
        let service = self.service.and_then(|service| entries.get(service as usize));
        let kind = Kind {
            minute: visit.began_ms / 60_000,
            status: sample.status,
            route: self.route(&visit.snapshot).map(|route| &route.named.name),
            service: service.map(|service| &service.named.name),
            instance: self.instance.as_ref().map(|instance| &instance.name),
            tenant: self.tenant().map(|tenant| &tenant.name),
        };
        if !census.count(worker.index, &kind, request.known(Known::UserAgent), sample) {
            worker.counts().requests_coarsened.add(1);
        }
    }

    fn times(&self, now: Instant, visit: &Visit) -> Times {
        let upstream = self.upstream_began.zip(self.upstream_ended);
        let upstream = upstream.map(|(began, ended)| micros(ended.saturating_duration_since(began)));
        // The client's own time is in the whole alone.
        let served = micros(now.saturating_duration_since(visit.facts.now));
        // While a WebSocket is open, nobody waits for the gateway.
        let open = self.tunnel.map_or(0, |tunnel| micros(now.saturating_duration_since(tunnel.began)));
        let overhead = served.saturating_sub(upstream.unwrap_or(0)).saturating_sub(open);
        Times { total: visit.waited() + served, overhead, upstream, ..Times::default() }
    }

    /// What the time until the service answered went into; only records tell it.
    fn parted(&self, times: Times) -> Times {
        let first_byte = self.upstream_began.zip(self.answered);
        let first_byte =
            first_byte.map(|(began, answered)| micros(answered.saturating_duration_since(began)));
        let Delays { queued, connected } = self.delays;
        Times { first_byte, queued, connected, ..times }
    }

    fn record(
        &self,
        worker: &Worker,
        visit: &Visit,
        parts: (&Request, &ResponseHead),
        (sample, times): (&Sample, Times),
    ) {
        let mut recorder = worker.recorder.borrow_mut();
        if !recorder.is_wanted() {
            return;
        }
        let times = self.parted(times);
        let route = self.route(&visit.snapshot);
        let policy = route.map_or(&visit.snapshot.recording, |route| &route.recording);
        let weight = match self.choose(policy, visit, parts.0) {
            Kept::Whole => None,
            Kept::For(weight) => Some(weight),
            Kept::LeftOut => return worker.counts().records_left_out.add(1),
        };
        let bytes = recorder.write(&self.entry(visit, parts, (sample, times), (policy, weight)));
        self.metrics(visit).recorded(worker.index, bytes);
    }

    /// The counters of the route; where there is none, of all requests without one.
    fn metrics<'v>(&self, visit: &'v Visit) -> &'v RouteMetrics {
        self.route(&visit.snapshot).map_or(&visit.snapshot.unrouted, |route| &route.metrics)
    }

    fn entry<'a>(
        &'a self,
        visit: &'a Visit,
        (request, response): (&'a Request, &'a ResponseHead),
        (sample, times): (&Sample, Times),
        (policy, weight): (&'a Policy, Option<&'a str>),
    ) -> Entry<'a> {
        let snapshot = &*visit.snapshot;
        let service = self.service.and_then(|service| snapshot.service_entries.get(service as usize));
        let caller = self.caller.as_deref();
        Entry {
            request,
            trail: &self.trail,
            names: snapshot,
            policy,
            weight,
            response: self.answered.map(|_| response),
            started_ms: visit.began_ms,
            times,
            status: sample.status,
            request_bytes: sample.request_bytes,
            response_bytes: sample.response_bytes,
            listener: &visit.listener.named.quoted,
            route: self.route(snapshot).map(|route| &route.named.quoted),
            service: service.map(|service| &service.named.quoted),
            instance: self.instance.as_ref().map(|instance| &*instance.name),
            user: caller.and_then(|caller| caller.user.as_deref()),
            partner: caller.and_then(|caller| caller.partner.as_deref()),
            tenant: self.tenant().map(|tenant| &*tenant.name),
            rate_limit_remaining: self.limit.map(|state| state.remaining),
            rate_limited: self.rate_limited,
            error_type: self.error_type,
            error_message: self.error_message.as_deref(),
            attempts: self.attempts,
            trace_id: self.trace_id(),
            traced: self.traced(visit),
            country: self.country.filter(|_| snapshot.screening.record_country),
            config_version: snapshot.version,
            node: &snapshot.node,
            software: &snapshot.software,
        }
    }

    /// Is there to be a record? Whatever did not go well has one, and what somebody may look for by itself: logins, and
    /// what became of a WebSocket.
    fn choose<'v>(&self, policy: &'v Policy, visit: &Visit, request: &Request) -> Kept<'v> {
        let Some(sampler) = policy.sampler() else { return Kept::Whole };
        let went_well = (200..400).contains(&self.status) && self.error_type.is_none() && !self.rate_limited;
        // Spans are made of records.
        let is_traced = visit.snapshot.tracing.is_some() && self.sampled_trace().is_some();
        if !went_well || self.tunnel.is_some() || self.is_notable || is_traced {
            return Kept::Whole;
        }
        let caller = self.caller.as_deref();
        sampler.choose(&Chance {
            unix_ms: visit.facts.unix_ms,
            random: visit.facts.random,
            caller: caller.and_then(|caller| caller.user.as_deref().or(caller.partner.as_deref())),
            client: request.client,
            trace_id: self.trace_id().as_ref(),
        })
    }
}
