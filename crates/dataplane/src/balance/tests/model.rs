//! Random traffic against a breaker and against a model of it that is too simple to be wrong.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

#[derive(Clone, Copy, Debug)]
enum Act {
    Send,
    /// Ends one of the requests under way: well, badly, or telling nothing.
    End(usize, Outcome),
    Wait(u64),
}

fn act() -> impl Strategy<Value = Act> {
    let outcome = prop_oneof![Just(SUCCESS), Just(Outcome::Failure), Just(Outcome::Neutral)];
    prop_oneof![
        4 => Just(Act::Send),
        4 => (0..8_usize, outcome).prop_map(|(index, outcome)| Act::End(index, outcome)),
        1 => (1..40_u64).prop_map(Act::Wait),
    ]
}

/// The state as a list of everything that happened since the last change of it.
#[derive(Debug)]
struct Model {
    settings: BreakerDocument,
    state: BreakerState,
    since: u64,
    /// Numbers the stretches between changes.
    stretch: u32,
    /// Outcomes counted in this stretch.
    outcomes: Vec<bool>,
    /// Stretches in which the requests under way were sent.
    underway: Vec<u32>,
}

impl Model {
    fn become_(&mut self, state: BreakerState, second: u64) {
        (self.state, self.since) = (state, second);
        self.stretch += 1;
        self.outcomes.clear();
    }

    fn admits(&mut self, second: u64) -> bool {
        if self.state == BreakerState::Open && second >= self.since + self.settings.open_for_ms / 1_000 {
            self.become_(BreakerState::HalfOpen, second);
        }
        let probes = self.underway.iter().filter(|stretch| **stretch == self.stretch).count();
        let admits = match self.state {
            BreakerState::Closed => true,
            BreakerState::Open => false,
            BreakerState::HalfOpen => probes < self.settings.concurrent_probes as usize,
        };
        if admits {
            self.underway.push(self.stretch);
        }
        admits
    }

    fn end(&mut self, index: usize, good: Option<bool>, second: u64) {
        let stretch = self.underway.remove(index);
        let Some(good) = good.filter(|_| stretch == self.stretch) else { return };
        self.outcomes.push(good);
        match self.state {
            BreakerState::Closed if self.is_bad() => self.become_(BreakerState::Open, second),
            BreakerState::HalfOpen => {
                if let Some(state) = self.verdict() {
                    self.become_(state, second);
                }
            }
            BreakerState::Closed | BreakerState::Open => {}
        }
    }

    fn in_a_row(&self, good: bool) -> usize {
        self.outcomes.iter().rev().take_while(|outcome| **outcome == good).count()
    }

    fn is_bad(&self) -> bool {
        let BreakerWindow::Calls(size) = self.settings.window else { panic!() };
        let window: Vec<_> = self.outcomes.iter().rev().take(size as usize).collect();
        let failures = window.iter().filter(|good| !***good).count();
        let judged = window.len() >= self.settings.minimum_requests as usize;
        judged && failures * 2 > window.len()
            || self.in_a_row(false) >= self.settings.consecutive_failures.unwrap() as usize
    }

    fn verdict(&self) -> Option<BreakerState> {
        if self.in_a_row(true) >= self.settings.probes as usize {
            return Some(BreakerState::Closed);
        }
        let gives_up = match self.settings.on_probe_failure {
            OnProbeFailure::Open => self.in_a_row(false) > 0,
            OnProbeFailure::Restart => self.outcomes.len() >= self.settings.probe_limit as usize,
        };
        gives_up.then_some(BreakerState::Open)
    }
}

fn settings() -> impl Strategy<Value = BreakerDocument> {
    let on_failure = prop_oneof![Just(OnProbeFailure::Open), Just(OnProbeFailure::Restart)];
    (1..4_u32, 1..4_u32, on_failure, 3..6_u32).prop_map(
        |(probes, concurrent_probes, on_probe_failure, consecutive)| BreakerDocument {
            window: BreakerWindow::Calls(8),
            minimum_requests: 5,
            consecutive_failures: Some(consecutive),
            probes,
            concurrent_probes,
            on_probe_failure,
            probe_limit: 6,
            probe_timeout_ms: 3_600_000,
            ..breaker()
        },
    )
}

proptest! {
    #[test]
    fn it_admits_opens_and_closes_exactly_as_the_model(settings in settings(), acts in vec(act(), 1..300)) {
        let (registry, start) = (Registry::new(), Instant::now());
        let service = live(ServiceDocument { circuit_breaker: Some(settings.clone()), ..one() }, &registry);
        let mut model = Model {
            settings, state: BreakerState::Closed, since: 0, stretch: 0, outcomes: Vec::new(), underway: Vec::new(),
        };
        let (mut second, mut targets) = (0, Vec::new());
        for act in acts {
            let now = start + Duration::from_secs(second);
            match act {
                Act::Wait(seconds) => second += seconds,
                Act::Send => {
                    let target = pick(&service, BreakerUse::Shared, now);
                    prop_assert_eq!(target.is_ok(), model.admits(second));
                    targets.extend(target);
                }
                Act::End(index, outcome) if index < targets.len() => {
                    targets.remove(index).finish(outcome, now);
                    let good = if outcome == Outcome::Neutral { None } else { Some(outcome == SUCCESS) };
                    model.end(index, good, second);
                }
                Act::End(..) => {}
            }
            prop_assert_eq!(state(&registry, now), model.state);
        }
        // Not stuck: with nothing under way any more, a request passes at the latest when it was open long enough.
        targets.clear();
        let later = start + Duration::from_secs(second) + 30 * SECOND;
        prop_assert!(pick(&service, BreakerUse::Shared, later).is_ok());
    }
}
