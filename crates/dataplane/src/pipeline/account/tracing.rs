//! What the account knows of the trace of its request.

use std::time::Instant;

use crate::micros::micros;
use crate::pipeline::account::{Account, Visit};
use crate::proxy::trace::{Trace, TraceId};
use crate::record::Traced;
use crate::request::Request;

impl Account {
    /// The service is turned to for the first time; gives the trace that it is told of, and the moment.
    pub fn attempted(&mut self, visit: &Visit, request: &Request) -> (Trace, Instant) {
        self.attempts = 1;
        let now = Instant::now();
        self.upstream_began = Some(now);
        let trace = self.trace_of(visit, request);
        self.trace = Some(trace.clone());
        (trace, now)
    }

    fn trace_of(&self, visit: &Visit, request: &Request) -> Trace {
        let share = self.route(&visit.snapshot).and_then(|route| route.trace_share);
        Trace::of(request, visit.snapshot.tracing.as_ref(), share, &mut || fastrand::u64(..))
    }

    pub(super) fn trace_id(&self) -> Option<TraceId> {
        self.trace.as_ref().map(Trace::id)
    }

    /// The trace that an example of a measure may name: others nobody keeps.
    pub(super) fn sampled_trace(&self) -> Option<TraceId> {
        self.trace.as_ref().filter(|trace| trace.is_sampled()).map(Trace::id)
    }

    /// A request that never came to a service is part of a trace as well, where somebody wants traces.
    pub(super) fn begin_trace(&mut self, visit: &Visit, request: &Request) {
        if visit.snapshot.tracing.is_some() && self.trace.is_none() {
            self.trace = Some(self.trace_of(visit, request));
        }
    }

    /// What spans are made of, where they are.
    pub(super) fn traced(&self, visit: &Visit) -> Option<Traced> {
        visit.snapshot.tracing.as_ref()?;
        let trace = self.trace.as_ref()?;
        let began = self.upstream_began.map(|began| began.saturating_duration_since(visit.began));
        Some(Traced {
            span: trace.span(),
            parent: trace.parent(),
            is_sampled: trace.is_sampled(),
            upstream_offset: began.map(micros),
        })
    }
}
