//! How many requests a service takes at once before it only becomes slower; found out from how long they take.
//!
//! Workers add up the times of a service's requests; the control thread makes a limit of them several times a second.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// While nothing is slower than usual yet, a limit grows by half for each reading.
const START: f64 = 1.5;
/// A limit at most halves for one reading, of which the next weighs a fifth.
const STEEPEST: f64 = 0.5;
const WEIGHT: f64 = 0.2;
/// The usual time follows quicker answers quickly, and slower ones only slowly.
const FALL: f64 = 0.3;
const RISE: f64 = 0.02;
/// After this many readings at which the limit held requests back, the minimum holds for `PROBE` readings: a minute and a
/// second at four a second.
const BINDING: u32 = 240;
const PROBE: u32 = 4;

/// What the limit of a service may be.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    pub minimum: u32,
    pub maximum: u32,
    /// How many times its usual time a service may take before the limit falls.
    pub tolerance: f64,
}

/// The rule, without clock: a limit that grows while more requests at once do not make them slower.
#[derive(Clone, Copy, Debug, Default)]
pub struct Gradient {
    limit: Option<f64>,
    /// Microseconds that a request takes when the limit is not what makes it wait.
    usual: Option<f64>,
    has_settled: bool,
    phase: Phase,
}

/// A service that is overloaded for long must not be taken for a slow one, so slow answers are not what is usual while the
/// limit binds. A service that has become slow would then never be believed: what is usual is measured anew at times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Following { binding: u32 },
    Probing { left: u32 },
}

impl Default for Phase {
    fn default() -> Self {
        Self::Following { binding: 0 }
    }
}

impl Gradient {
    /// Takes in the mean time of the requests since the last reading and how many there were at once; gives the limit.
    pub fn observe(&mut self, mean: f64, peak: u32, bounds: &Bounds) -> u32 {
        let mean = mean.max(1.0);
        match self.phase {
            Phase::Probing { left } if left > 1 => {
                self.phase = Phase::Probing { left: left - 1 };
                bounds.minimum
            }
            Phase::Probing { .. } => {
                self.usual = Some(mean);
                self.phase = Phase::default();
                self.current(bounds) as u32
            }
            Phase::Following { binding } => self.follow(mean, peak, binding, bounds),
        }
    }

    fn current(&self, bounds: &Bounds) -> f64 {
        let (minimum, maximum) = (f64::from(bounds.minimum), f64::from(bounds.maximum));
        self.limit.unwrap_or(minimum).clamp(minimum, maximum)
    }

    fn follow(&mut self, mean: f64, peak: u32, binding: u32, bounds: &Bounds) -> u32 {
        let limit = self.current(bounds);
        let is_slack = f64::from(peak) * 2.0 < limit;
        let before = self.usual.unwrap_or(mean);
        let rate = if mean < before {
            FALL
        } else if is_slack {
            RISE
        } else {
            0.0
        };
        let usual = before + (mean - before) * rate;
        let gradient = (bounds.tolerance * usual / mean).clamp(STEEPEST, 1.0);
        self.has_settled |= gradient < 1.0;
        let (wanted, weight) =
            if self.has_settled { (limit * gradient + limit.sqrt(), WEIGHT) } else { (limit * START, 1.0) };
        // Nobody has tried what lies above a limit that is hardly used.
        let next = if wanted > limit && is_slack { limit } else { limit + (wanted - limit) * weight };
        (self.usual, self.limit) = (Some(usual), Some(next));
        let binding = if gradient < 1.0 && !is_slack { binding + 1 } else { 0 };
        if binding >= BINDING {
            self.phase = Phase::Probing { left: PROBE };
            return bounds.minimum;
        }
        self.phase = Phase::Following { binding };
        self.current(bounds) as u32
    }
}

/// The requests of one service that are in flight, and their limit. Shared by all workers.
#[derive(Debug, Default)]
pub struct Concurrency {
    in_flight: AtomicU32,
    /// 0 before the first reading: no limit yet.
    limit: AtomicU32,
    peak: AtomicU32,
    micros: AtomicU64,
    count: AtomicU64,
    gradient: Mutex<Gradient>,
}

impl Concurrency {
    /// Requests in flight, and how many there may be; `None` before anything is known.
    pub fn now(&self) -> (u32, Option<u32>) {
        let limit = self.limit.load(Ordering::Relaxed);
        (self.in_flight.load(Ordering::Relaxed), (limit > 0).then_some(limit))
    }

    /// One request was served in this time.
    pub fn observe(&self, micros: u64) {
        self.micros.fetch_add(micros, Ordering::Relaxed);
        self.count.fetch_add(1, Ordering::Relaxed);
    }

    /// Makes a limit of what came since the last time. The control thread calls it at regular intervals.
    pub fn adapt(&self, bounds: &Bounds) {
        let (micros, count) = (self.micros.swap(0, Ordering::Relaxed), self.count.swap(0, Ordering::Relaxed));
        let peak = self.peak.swap(self.in_flight.load(Ordering::Relaxed), Ordering::Relaxed);
        if count == 0 {
            return;
        }
        // Nothing under this lock can panic half-way, so a poisoned one still guards sound data.
        let mut gradient = self.gradient.lock().unwrap_or_else(PoisonError::into_inner);
        let limit = gradient.observe(micros as f64 / count as f64, peak, bounds);
        self.limit.store(limit, Ordering::Relaxed);
    }

    /// Counts a request in; gives how many there were before it.
    pub(super) fn enter(&self) -> u32 {
        let before = self.in_flight.fetch_add(1, Ordering::Relaxed);
        self.peak.fetch_max(before + 1, Ordering::Relaxed);
        before
    }

    pub(super) fn leave(&self) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { minimum: 5, maximum: 1_000, tolerance: 1.5 };

    /// A service that works on `room` requests at once, each for `base` microseconds, while the others wait.
    fn time(base: f64, room: f64, in_flight: u32) -> f64 {
        base * (f64::from(in_flight) / room).max(1.0)
    }

    /// As many clients as the limit lets in, for so many readings; gives the limit after each.
    fn load(gradient: &mut Gradient, readings: usize, base: f64, room: f64) -> Vec<u32> {
        let mut limit = gradient.current(&BOUNDS) as u32;
        let step = |_| {
            limit = gradient.observe(time(base, room, limit), limit, &BOUNDS);
            limit
        };
        (0..readings).map(step).collect()
    }

    #[test]
    fn the_limit_settles_a_little_above_what_the_service_works_on_at_once() {
        for room in [10.0, 50.0, 100.0, 400.0] {
            let limits = load(&mut Gradient::default(), 2_000, 10_000.0, room);
            for limit in limits[200..].iter().filter(|limit| **limit != BOUNDS.minimum) {
                assert!((room..=room * 2.0).contains(&f64::from(*limit)), "{limit} of {room}");
            }
            let probes = limits[200..].iter().filter(|limit| **limit == BOUNDS.minimum).count();
            assert!(probes <= 8 * PROBE as usize, "a second of each minute: {probes}");
        }
    }

    #[test]
    fn the_limit_is_found_within_seconds() {
        let limits = load(&mut Gradient::default(), 12, 10_000.0, 400.0);
        assert!(limits[11] > 400, "{limits:?}");
    }

    #[test]
    fn a_service_that_is_overloaded_for_long_is_not_taken_for_a_slow_one() {
        let limits = load(&mut Gradient::default(), 100_000, 10_000.0, 50.0);
        assert!(limits[200..].iter().all(|limit| *limit <= 100), "{:?}", limits[200..].iter().max());
    }

    #[test]
    fn a_service_that_becomes_slower_takes_less_and_recovers() {
        let mut gradient = Gradient::default();
        let before = load(&mut gradient, 100, 10_000.0, 100.0)[99];
        let slow = load(&mut gradient, 100, 100_000.0, 10.0);
        assert!(slow[99] <= 10, "{slow:?}");
        let after = load(&mut gradient, 200, 10_000.0, 100.0)[199];
        assert!(after.abs_diff(before) <= before / 5, "{before} before, {after} after");
    }

    #[test]
    fn a_service_that_stays_slower_is_believed_after_a_minute() {
        let mut gradient = Gradient::default();
        load(&mut gradient, 50, 10_000.0, 100.0);
        let limits = load(&mut gradient, 500, 50_000.0, 100.0);
        assert!(limits[150] < 10, "nothing else is known yet: {}", limits[150]);
        assert!(limits[480] >= 100, "{}", limits[480]);
    }

    #[test]
    fn the_limit_stays_within_its_bounds() {
        let mut gradient = Gradient::default();
        load(&mut gradient, 10, 1_000.0, 100.0);
        for mean in [1e9, 1e12, 0.0, f64::from(u32::MAX)] {
            for _ in 0..500 {
                let limit = gradient.observe(mean, u32::MAX, &BOUNDS);
                assert!((5..=1_000).contains(&limit), "{limit}");
            }
        }
        assert_eq!(load(&mut Gradient::default(), 200, 1_000.0, 1e9)[199], 1_000);
    }

    #[test]
    fn the_limit_does_not_grow_where_nobody_needs_it() {
        let mut gradient = Gradient::default();
        let limits: Vec<u32> = (0..100).map(|_| gradient.observe(1_000.0, 2, &BOUNDS)).collect();
        assert_eq!(limits, [5; 100]);
    }

    #[test]
    fn the_first_answers_give_a_limit() {
        let users = Concurrency::default();
        users.enter();
        users.observe(1_000);
        users.adapt(&BOUNDS);
        assert_eq!(users.now(), (1, Some(5)));
    }
}
