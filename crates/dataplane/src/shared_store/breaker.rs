//! When a worker asks no more: after some failures within a second, if they are half of all. Then it looks now and again by
//! itself, off the path of requests, whether answers come in time. Pure: the time is an argument.

use std::time::{Duration, Instant};

/// What is counted together.
const WINDOW: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, Debug)]
enum State {
    Closed { since: Instant, asked: u32, failed: u32 },
    Open { until: Instant, is_probed: bool },
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Breaker {
    state: State,
}

impl Breaker {
    pub(super) fn new(now: Instant) -> Self {
        Self { state: State::Closed { since: now, asked: 0, failed: 0 } }
    }

    pub(super) fn is_open(&self) -> bool {
        matches!(self.state, State::Open { .. })
    }

    /// An answer came, or did not. Gives whether that opens it. What was asked before it opened changes nothing.
    pub(super) fn saw(&mut self, is_failure: bool, failures: u32, open_for: Duration, now: Instant) -> bool {
        let State::Closed { since, asked, failed } = &mut self.state else { return false };
        if now.saturating_duration_since(*since) >= WINDOW {
            (*since, *asked, *failed) = (now, 0, 0);
        }
        *asked += 1;
        *failed += u32::from(is_failure);
        if *failed < failures || *failed * 2 < *asked {
            return false;
        }
        self.state = State::Open { until: now + open_for, is_probed: false };
        true
    }

    /// It is time to look; once, until `probed`.
    pub(super) fn wants_probe(&mut self, now: Instant) -> bool {
        let State::Open { until, is_probed } = &mut self.state else { return false };
        !(*is_probed || now < *until) && {
            *is_probed = true;
            true
        }
    }

    pub(super) fn probed(&mut self, is_well: bool, open_for: Duration, now: Instant) {
        self.state = if is_well {
            Self::new(now).state
        } else {
            State::Open { until: now + open_for, is_probed: false }
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_few_failures_in_a_row_open_it_and_a_look_that_goes_well_closes_it() {
        let now = Instant::now();
        let mut breaker = Breaker::new(now);
        let opened: Vec<bool> = (0..4).map(|_| breaker.saw(true, 3, SECOND, now)).collect();
        assert_eq!(opened, [false, false, true, false]);
        assert!(breaker.is_open() && !breaker.wants_probe(now));
        assert!(breaker.wants_probe(now + SECOND));
        assert!(!breaker.wants_probe(now + SECOND), "one look at a time");
        breaker.probed(false, SECOND, now + SECOND);
        assert!(breaker.is_open() && !breaker.wants_probe(now + SECOND));
        assert!(breaker.wants_probe(now + 2 * SECOND));
        breaker.probed(true, SECOND, now + 2 * SECOND);
        assert!(!breaker.is_open());
    }

    #[test]
    fn failures_among_many_answers_do_not_open_it() {
        let now = Instant::now();
        let mut breaker = Breaker::new(now);
        for round in 0..300_u32 {
            assert!(!breaker.saw(round % 3 == 0, 3, SECOND, now) || round < 5, "{round}");
        }
        let mut slow = Breaker::new(now);
        for second in 0..10 {
            assert!(!slow.saw(true, 3, SECOND, now + SECOND * second), "one a second is not many");
        }
    }
}
