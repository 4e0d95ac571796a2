//! Peak EWMA: how long an instance takes to answer, quick to learn of the worse and slow to forget it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// What an attempt that failed counts for at least: an instance that refuses at once must not look quick.
const FAILURE: Duration = Duration::from_secs(1);

/// An average in microseconds and the moment that it is of, in one word so that no lock is needed. No average yet is 0.
#[derive(Debug)]
pub(super) struct Latency {
    origin: Instant,
    word: AtomicU64,
}

impl Latency {
    pub(super) fn new(origin: Instant) -> Self {
        Self { origin, word: AtomicU64::new(0) }
    }

    /// Takes in one answer. A longer one is the new average at once; shorter ones pull it down as time passes.
    pub(super) fn observe(&self, taken: Duration, decay: Duration, now: Instant) {
        let sample = (taken.as_secs_f32() * 1e6).max(1.0);
        let at = self.milliseconds(now);
        let step = |word| {
            let (average, since) = unpack(word);
            let kept = if sample > average { 0.0 } else { kept(since, at, decay) };
            Some(pack(average * kept + sample * (1.0 - kept), at))
        };
        // The step always gives a word, so this cannot fail.
        let _ = self.word.fetch_update(Ordering::Relaxed, Ordering::Relaxed, step);
    }

    pub(super) fn observe_failure(&self, taken: Duration, decay: Duration, now: Instant) {
        self.observe(taken.max(FAILURE), decay, now);
    }

    /// Microseconds; decays while nothing is sent there, so that an instance that was slow once is tried again. `None`
    /// before the first answer.
    pub(super) fn estimate(&self, decay: Duration, now: Instant) -> Option<f32> {
        let (average, since) = unpack(self.word.load(Ordering::Relaxed));
        (average > 0.0).then(|| average * kept(since, self.milliseconds(now), decay))
    }

    fn milliseconds(&self, now: Instant) -> u32 {
        now.saturating_duration_since(self.origin).as_millis() as u32
    }
}

/// The share of an average that is left after a time. Milliseconds wrap after 49 days, hence the subtraction.
fn kept(since: u32, at: u32, decay: Duration) -> f32 {
    let passed = at.wrapping_sub(since);
    let passed = if passed > u32::MAX / 2 { 0 } else { passed };
    (-(passed as f32) / 1_000.0 / decay.as_secs_f32().max(0.001)).exp()
}

fn pack(average: f32, at: u32) -> u64 {
    u64::from(average.to_bits()) << 32 | u64::from(at)
}

fn unpack(word: u64) -> (f32, u32) {
    (f32::from_bits((word >> 32) as u32), word as u32)
}
