//! What a request waited for that no stage has in hand: for what, from when on, and how long. Most wait for nothing.

use super::{Inputs, Rule, Stage, Step, Trail};

/// The verdict of a step that has nothing else to tell.
const WAITED: &str = "waited";

/// What was waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Awaited {
    /// The rest of a head whose first bytes are there.
    Head,
    /// A key that a token names, from where its issuer publishes it.
    KeySet,
    KeyStore,
    /// An issuer's word on one token.
    Introspection,
    Password,
    /// Where browsers log in.
    Provider,
    /// A body that has to be there before the request goes on.
    Body,
    /// The counts that nodes share.
    Redis,
    /// A turn in a leaky bucket.
    Queue,
    /// A file that is sent.
    Disk,
    /// The pause before another attempt.
    Backoff,
}

impl Awaited {
    /// In the order of the enum.
    pub const ALL: [Self; 11] = [
        Self::Head,
        Self::KeySet,
        Self::KeyStore,
        Self::Introspection,
        Self::Password,
        Self::Provider,
        Self::Body,
        Self::Redis,
        Self::Queue,
        Self::Disk,
        Self::Backoff,
    ];

    pub fn text(self) -> &'static str {
        match self {
            Self::Head => "head",
            Self::KeySet => "key_set",
            Self::KeyStore => "key_store",
            Self::Introspection => "introspection",
            Self::Password => "password",
            Self::Provider => "provider",
            Self::Body => "body",
            Self::Redis => "redis",
            Self::Queue => "queue",
            Self::Disk => "disk",
            Self::Backoff => "backoff",
        }
    }
}

/// Who waits for what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cause {
    pub stage: Stage,
    /// The step of this rule tells it. `None`: the next step of the stage.
    pub rule: Rule,
    pub awaited: Awaited,
}

/// In whole microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait {
    pub cause: Cause,
    /// Since the request began.
    pub at: u64,
    pub took: u64,
    /// Decisions that were taken before; once it is settled, the place of the one that tells it.
    step: usize,
}

impl Trail {
    pub fn waited(&mut self, cause: Cause, at: u64, took: u64) {
        self.waits.push(Wait { cause, at, took, step: self.steps.len() });
    }

    /// Forgets what was decided, but not what the request has waited for.
    pub fn begin_again(&mut self) {
        let mut waits = std::mem::take(&mut self.waits);
        self.clear();
        waits.iter_mut().for_each(|wait| wait.step = 0);
        self.waits = waits;
    }

    pub fn waits(&self) -> &[Wait] {
        &self.waits
    }

    /// Gives every wait the step that tells it: that of its rule, or the next one of its stage. Each tells one; a wait for
    /// which there is none has a step of its own, where it happened.
    pub fn settle(&mut self) {
        let mut index = 0;
        while let Some(wait) = self.waits.get(index).copied() {
            let step = self.teller(&wait, index).unwrap_or_else(|| self.tell_alone(&wait));
            if let Some(wait) = self.waits.get_mut(index) {
                wait.step = step;
            }
            index += 1;
        }
    }

    /// The waits before `settled` have their steps.
    fn teller(&self, wait: &Wait, settled: usize) -> Option<usize> {
        let Cause { stage, rule, .. } = wait.cause;
        let first = if rule == Rule::None { wait.step } else { 0 };
        let tells = |step: &Step| step.stage == stage && (rule == Rule::None || step.rule == rule);
        let is_free = |place: &usize| self.waits.iter().take(settled).all(|other| other.step != *place);
        let found = self.steps.iter().enumerate().skip(first).filter(|(_, step)| tells(step));
        found.map(|(place, _)| place).find(is_free)
    }

    fn tell_alone(&mut self, wait: &Wait) -> usize {
        let Cause { stage, rule, .. } = wait.cause;
        let place = wait.step.min(self.steps.len());
        self.steps.insert(place, Step { stage, verdict: WAITED, rule, inputs: Inputs::none() });
        for other in self.waits.iter_mut().filter(|other| other.step >= place) {
            other.step += 1;
        }
        place
    }

    /// What the decision at this place waited for; right once `settle` was called.
    pub fn wait_of(&self, place: usize) -> Option<&Wait> {
        self.waits.iter().find(|wait| wait.step == place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY_STORE: Cause =
        Cause { stage: Stage::Authenticate, rule: Rule::None, awaited: Awaited::KeyStore };
    const REDIS: Cause = Cause { stage: Stage::Limit, rule: Rule::None, awaited: Awaited::Redis };
    const QUEUE: Cause = Cause { stage: Stage::Limit, rule: Rule::Tier(1), awaited: Awaited::Queue };

    fn push(trail: &mut Trail, stage: Stage, verdict: &'static str, rule: Rule) {
        trail.push(stage, verdict, rule, Inputs::none());
    }

    /// Verdict and what it waited for, of every step.
    fn told(trail: &mut Trail) -> Vec<(&'static str, Option<Awaited>)> {
        trail.settle();
        let awaited = |place| trail.wait_of(place).map(|wait| wait.cause.awaited);
        trail.steps().iter().enumerate().map(|(place, step)| (step.verdict, awaited(place))).collect()
    }

    #[test]
    fn the_next_step_of_the_stage_tells_what_it_waited_for() {
        let mut trail = Trail::default();
        push(&mut trail, Stage::Limit, "before", Rule::Tier(0));
        trail.waited(REDIS, 10, 4_000);
        push(&mut trail, Stage::Limit, "first", Rule::Tier(1));
        push(&mut trail, Stage::Limit, "second", Rule::Tier(2));
        let redis = Some(Awaited::Redis);
        assert_eq!(told(&mut trail), [("before", None), ("first", redis), ("second", None)]);
        assert_eq!(trail.wait_of(1).map(|wait| (wait.at, wait.took)), Some((10, 4_000)));
    }

    #[test]
    fn a_wait_outlives_the_decisions_that_are_taken_once_more() {
        let mut trail = Trail::default();
        push(&mut trail, Stage::Route, "matched", Rule::Route(0));
        trail.waited(KEY_STORE, 10, 4_000);
        trail.begin_again();
        assert!(trail.steps().is_empty());
        push(&mut trail, Stage::Route, "matched", Rule::Route(0));
        push(&mut trail, Stage::Authenticate, "partner", Rule::Identity(0));
        assert_eq!(told(&mut trail), [("matched", None), ("partner", Some(Awaited::KeyStore))]);
        trail.clear();
        assert!(trail.waits().is_empty());
    }

    #[test]
    fn the_step_of_a_rule_tells_what_came_after_it() {
        let mut trail = Trail::default();
        push(&mut trail, Stage::Limit, "admitted", Rule::Tier(0));
        push(&mut trail, Stage::Limit, "admitted", Rule::Tier(1));
        trail.waited(QUEUE, 10, 4_000);
        push(&mut trail, Stage::Balance, "picked", Rule::Service(0));
        let queue = Some(Awaited::Queue);
        assert_eq!(told(&mut trail), [("admitted", None), ("admitted", queue), ("picked", None)]);
    }

    #[test]
    fn what_no_step_tells_has_one_of_its_own_where_it_happened() {
        let mut trail = Trail::default();
        push(&mut trail, Stage::Route, "matched", Rule::Route(0));
        trail.waited(REDIS, 10, 4_000);
        push(&mut trail, Stage::Limit, "admitted", Rule::Tier(1));
        trail.waited(QUEUE, 5_000, 20_000);
        push(&mut trail, Stage::Balance, "picked", Rule::Service(0));
        let (redis, queue) = (Some(Awaited::Redis), Some(Awaited::Queue));
        let expected = [("matched", None), ("admitted", redis), ("waited", queue), ("picked", None)];
        assert_eq!(told(&mut trail), expected);
        assert_eq!(
            trail.steps().get(2).map(|step| (step.stage, step.rule)),
            Some((Stage::Limit, Rule::Tier(1)))
        );
    }

    #[test]
    fn several_waits_of_a_request_that_was_never_decided_are_told_in_their_order() {
        let mut trail = Trail::default();
        trail.waited(KEY_STORE, 10, 4_000);
        trail.waited(REDIS, 5_000, 50);
        push(&mut trail, Stage::Proxy, "broken", Rule::None);
        let expected =
            [("waited", Some(Awaited::KeyStore)), ("waited", Some(Awaited::Redis)), ("broken", None)];
        assert_eq!(told(&mut trail), expected);
    }

    #[test]
    fn every_cause_has_a_name_of_its_own_and_a_place_in_the_list() {
        for (index, awaited) in Awaited::ALL.iter().enumerate() {
            assert_eq!(*awaited as usize, index);
            assert_eq!(Awaited::ALL.iter().filter(|other| other.text() == awaited.text()).count(), 1);
        }
    }
}
