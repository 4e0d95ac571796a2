//! How a request ended, in every counter that asks why.

use super::{Account, Visit};
use crate::caller::CallerKind;
use crate::pipeline::end::End;
use crate::record::TimeoutKind;
use crate::refusal::{Barrier, Forbidden, Refusal, Ruling};
use crate::snapshot::Snapshot;
use crate::worker::Worker;

impl Account {
    pub(super) fn count(&self, worker: &Worker, visit: &Visit, end: Option<&End>) {
        let counts = worker.counts();
        if let Some(End::Refused(refusal)) = end {
            counts.refused(refusal);
            if let Refusal::Forbidden(Forbidden::Ruled { ruling: Ruling::Failed(fault), .. }) = refusal {
                counts.rule_failed(*fault);
            }
            if let Refusal::Slow(part) = refusal {
                counts.timed_out(if *part == "body" { TimeoutKind::Body } else { TimeoutKind::Head });
            }
            self.count_refusal(worker, &visit.snapshot, refusal);
        }
        self.count_trials(worker, &visit.snapshot);
        let caller = self.caller.as_ref().filter(|caller| caller.kind == CallerKind::User);
        match caller {
            Some(caller) if caller.cached => counts.token_cache_hits.add(1),
            Some(_) => counts.token_cache_misses.add(1),
            None => {}
        }
    }

    fn count_refusal(&self, worker: &Worker, snapshot: &Snapshot, refusal: &Refusal) {
        if let Some(state) = refusal.limit()
            && let Some(tier) = snapshot.tier_entries.get(state.tier as usize)
        {
            tier.counted.refused.count(worker.index);
        }
        if let Refusal::AddressNotAllowed(Barrier::Denied { list }) = refusal
            && let Some(entry) = snapshot.screening.entries.get(*list as usize)
        {
            entry.refused.count(worker.index);
        }
        if let (Refusal::Overloaded { shortage, .. }, Some(route)) = (refusal, self.route(snapshot)) {
            worker.counts().shed(shortage.reason, route.priority);
        }
        if let Refusal::Unauthenticated { identity, .. } = refusal {
            let entry = identity.and_then(|identity| snapshot.identity_entries.get(identity as usize));
            entry.map_or(&snapshot.unidentified, |entry| &entry.counted.refused).count(worker.index);
        }
        let Some(service) = self.service.and_then(|service| snapshot.service_entries.get(service as usize))
        else {
            return;
        };
        let metrics = service.metrics.worker(worker.index);
        if let Refusal::BadGateway(fault) = refusal {
            metrics.failed(*fault);
        } else if let Refusal::ServiceUnavailable { cause, .. } = refusal {
            metrics.unavailable(*cause);
        } else if *refusal == Refusal::UpstreamTimeout {
            metrics.timed_out();
        }
    }
}
