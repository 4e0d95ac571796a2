//! Half open: a few requests at a time find out whether the service is well again.

use std::time::Instant;

use super::history::BreakerReason;
use super::rules::Rules;

/// One probe that is under way. It leaves when its request has ended in any way, so none can be left behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Probe {
    id: u32,
    due: Instant,
    progress: Progress,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    Waiting,
    /// The head of its answer is in; says whether it is a good one.
    Answered(bool),
    /// It took so long that its place was given to the next; its outcome still counts.
    Displaced,
}

/// What a half-open breaker does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    Stay,
    Close,
    Open(BreakerReason),
}

#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Probes {
    /// In a row.
    successes: u32,
    finished: u32,
    last_id: u32,
    underway: Vec<Probe>,
}

impl Probes {
    pub(super) fn has_place(&self, rules: &Rules) -> bool {
        let holds = |probe: &&Probe| probe.progress != Progress::Displaced;
        self.underway.iter().filter(holds).count() < rules.concurrent_probes()
    }

    /// Gives the id of a new probe where a place is free.
    pub(super) fn enter(&mut self, rules: &Rules, now: Instant) -> Option<u32> {
        if !self.has_place(rules) {
            return None;
        }
        self.last_id += 1;
        let (id, due) = (self.last_id, now + rules.probe_timeout());
        self.underway.push(Probe { id, due, progress: Progress::Waiting });
        Some(id)
    }

    /// A probe that took too long holds its place no more: neither a client that reads slowly nor a stream without end
    /// may keep the breaker from its verdict. One that is being answered is judged by the head of its answer.
    pub(super) fn settle(&mut self, rules: &Rules, now: Instant) -> Next {
        let mut next = Next::Stay;
        let mut verdicts = Vec::new();
        self.underway.retain_mut(|probe| match probe.progress {
            Progress::Answered(good) if probe.due <= now => {
                verdicts.push(good);
                false
            }
            Progress::Waiting if probe.due <= now => {
                probe.progress = Progress::Displaced;
                true
            }
            Progress::Answered(_) | Progress::Waiting | Progress::Displaced => true,
        });
        for good in verdicts {
            if next == Next::Stay {
                next = self.judge(good, rules);
            }
        }
        next
    }

    /// The head of an answer is in.
    pub(super) fn answered(&mut self, id: u32, good: bool) {
        let waiting = |probe: &&mut Probe| probe.id == id && probe.progress == Progress::Waiting;
        if let Some(probe) = self.underway.iter_mut().find(waiting) {
            probe.progress = Progress::Answered(good);
        }
    }

    /// A probe has ended. One that was judged before is not judged again.
    pub(super) fn finish(&mut self, id: u32, good: bool, rules: &Rules) -> Next {
        if self.leave(id) { self.judge(good, rules) } else { Next::Stay }
    }

    /// A probe has ended without telling anything. False: nobody waits for it any more.
    pub(super) fn leave(&mut self, id: u32) -> bool {
        let place = self.underway.iter().position(|probe| probe.id == id);
        place.map(|place| self.underway.swap_remove(place)).is_some()
    }

    fn judge(&mut self, good: bool, rules: &Rules) -> Next {
        self.finished += 1;
        self.successes = if good { self.successes + 1 } else { 0 };
        if self.successes >= rules.probes() {
            Next::Close
        } else if !good && rules.reopens_at_once() {
            Next::Open(BreakerReason::ProbeFailed)
        } else if self.finished >= rules.probe_limit() && !rules.reopens_at_once() {
            Next::Open(BreakerReason::ProbesExhausted)
        } else {
            Next::Stay
        }
    }
}
