//! The states that algorithms keep: small values, each with a pure step.
//!
//! A step is `read` (may a request of this cost pass now?), and `charge` where the request really passes. Time is an
//! argument, nothing is looked up, so a store elsewhere can run the same steps.

use super::bucket::Bucket;
use super::fixed::{Fixed, Quota};
use super::log::Log;
use super::places::{Place, Places};
use super::reading::Reading;
use super::rule::{Algorithm, Cost, Rule};
use super::shared::Lease;
use super::window::Window;

#[derive(Clone, Debug)]
pub(super) enum State {
    Window(Window),
    Fixed(Fixed),
    Quota(Box<Quota>),
    Log(Box<Log>),
    Bucket(Bucket),
    Places(Places),
    Lease(Box<Lease>),
}

impl State {
    pub(super) fn fresh(rule: &Rule, now_ms: u64) -> Self {
        match rule.algorithm {
            Algorithm::SlidingWindow => Self::Window(Window::fresh(rule, now_ms)),
            Algorithm::FixedWindow => Self::Fixed(Fixed::fresh(rule, now_ms)),
            Algorithm::Quota => Self::Quota(Box::new(Quota::fresh(rule, now_ms))),
            Algorithm::SlidingLog => Self::Log(Box::default()),
            Algorithm::Bucket | Algorithm::Leaky => Self::Bucket(Bucket::fresh(now_ms)),
            Algorithm::Concurrency => Self::Places(Places::default()),
            Algorithm::Lease => Self::Lease(Box::default()),
        }
    }

    /// May this request pass? Moves the state to `now`, and charges nothing.
    pub(super) fn read(&mut self, rule: &Rule, now_ms: u64, cost: Cost) -> Reading {
        match self {
            Self::Window(window) => window.read(rule, now_ms, cost),
            Self::Fixed(fixed) => fixed.read(rule, now_ms, cost),
            Self::Quota(quota) => quota.read(rule, now_ms, cost),
            Self::Log(log) => log.read(rule, now_ms, cost),
            Self::Bucket(bucket) if rule.algorithm == Algorithm::Leaky => bucket.queue(rule, now_ms, cost),
            Self::Bucket(bucket) => bucket.read(rule, now_ms, cost),
            Self::Places(places) => places.read(rule, now_ms),
            Self::Lease(lease) => lease.read(now_ms, cost),
        }
    }

    /// Charges what passes, after `read` at the same moment. Of concurrency, the place is the charge.
    pub(super) fn charge(&mut self, rule: &Rule, now_ms: u64, cost: u64) -> Option<Place> {
        match self {
            Self::Window(window) => window.charge(cost),
            Self::Fixed(fixed) => fixed.charge(cost),
            Self::Quota(quota) => quota.charge(cost),
            Self::Log(log) => log.charge(now_ms, cost),
            Self::Bucket(bucket) => bucket.charge(rule, cost),
            Self::Places(places) => return Some(places.take()),
            Self::Lease(lease) => lease.charge(cost),
        }
        None
    }

    /// Undoes a charge of a moment ago. A place is given back by itself.
    pub(super) fn give_back(&mut self, rule: &Rule, charged_at_ms: u64, cost: u64) {
        match self {
            Self::Window(window) => window.give_back(charged_at_ms / rule.window_ms, cost),
            Self::Fixed(fixed) => fixed.give_back(rule, charged_at_ms, cost),
            Self::Quota(quota) => quota.give_back(rule, charged_at_ms, cost),
            Self::Log(log) => log.give_back(charged_at_ms, cost),
            Self::Bucket(bucket) => bucket.give_back(rule, cost),
            Self::Lease(lease) => lease.give_back(cost),
            Self::Places(_) => {}
        }
    }

    /// What counts at this moment, of a state that was made with this window.
    pub(super) fn used_at(&self, window_ms: u64, now_ms: u64) -> u64 {
        match self {
            Self::Window(window) => window.used_at(window_ms, now_ms),
            Self::Fixed(fixed) => fixed.used_at(now_ms),
            Self::Quota(quota) => quota.fixed.used_at(now_ms),
            Self::Log(log) => log.used_at(window_ms, now_ms),
            Self::Bucket(bucket) => bucket.used_at(window_ms, now_ms),
            Self::Places(places) => places.taken(),
            Self::Lease(lease) => lease.at_hand(now_ms),
        }
    }

    /// From here on it says no more than a fresh one. `u64::MAX` while places are taken: nobody knows for how long.
    pub(super) fn expires_at_ms(&self, window_ms: u64) -> u64 {
        match self {
            Self::Window(window) => window.expires_at_ms(window_ms),
            Self::Fixed(fixed) => fixed.expires_at_ms(),
            Self::Quota(quota) => quota.fixed.expires_at_ms(),
            Self::Log(log) => log.expires_at_ms(window_ms),
            Self::Bucket(bucket) => bucket.expires_at_ms(),
            Self::Places(places) if places.taken() == 0 => 0,
            Self::Places(_) => u64::MAX,
            Self::Lease(lease) => lease.expires_at_ms(),
        }
    }

    /// Is it of the kind that the rule's algorithm keeps?
    pub(super) fn fits(&self, rule: &Rule) -> bool {
        match self {
            Self::Window(_) => rule.algorithm == Algorithm::SlidingWindow,
            Self::Fixed(_) => rule.algorithm == Algorithm::FixedWindow,
            Self::Quota(_) => rule.algorithm == Algorithm::Quota,
            Self::Log(_) => rule.algorithm == Algorithm::SlidingLog,
            Self::Bucket(_) => matches!(rule.algorithm, Algorithm::Bucket | Algorithm::Leaky),
            Self::Places(_) => rule.algorithm == Algorithm::Concurrency,
            Self::Lease(_) => rule.algorithm == Algorithm::Lease,
        }
    }

    /// The state of a changed rule: what was used stays used, so that no change of the configuration resets a counter.
    /// Requests under way and requests counted are different things, and do not become each other.
    pub(super) fn carried(&self, window_ms: u64, rule: &Rule, now_ms: u64) -> Self {
        let mut state = Self::fresh(rule, now_ms);
        if !matches!(self, Self::Places(_)) && rule.algorithm != Algorithm::Concurrency {
            state.charge(rule, now_ms, self.used_at(window_ms, now_ms));
        }
        state
    }

    /// How much more memory it takes than others, in counters.
    pub(super) fn slots(&self) -> usize {
        match self {
            Self::Log(log) => log.slots(),
            Self::Window(_)
            | Self::Fixed(_)
            | Self::Quota(_)
            | Self::Bucket(_)
            | Self::Places(_)
            | Self::Lease(_) => 0,
        }
    }
}
