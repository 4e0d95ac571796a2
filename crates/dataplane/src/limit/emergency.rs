//! Limits that an administrator sets for a while, in place of what the configuration says: at once, and ending by themselves.

use std::sync::atomic::{AtomicU64, Ordering};

use super::counters::Counters;
use super::rule::{Algorithm, Rule};
use super::tier::Tiers;

/// What a configuration may say as well.
const MOST: u64 = 1_000_000_000_000;
/// Of a sliding log, which remembers every request.
const MOST_LOGGED: u64 = 10_000;
/// What a bucket reckons with: requests times milliseconds.
const MOST_IN_BUCKET: u64 = 1 << 62;

/// Of one tier, by its name, whatever snapshots come and go. Before anybody has set it, it has ended.
#[derive(Debug, Default)]
pub(super) struct Emergency {
    limit: AtomicU64,
    until_ms: AtomicU64,
}

impl Emergency {
    /// The limit of this moment. One load where there is none, as nearly always.
    pub(super) fn at(&self, now_ms: u64) -> Option<u64> {
        let holds = self.until_ms.load(Ordering::Acquire) > now_ms;
        holds.then(|| self.limit.load(Ordering::Relaxed))
    }

    fn set(&self, limit: u64, until_ms: u64) {
        self.limit.store(limit, Ordering::Relaxed);
        self.until_ms.store(until_ms, Ordering::Release);
    }
}

impl Counters {
    /// Sets the limit of a tier for a while, or `None` gives it back to the configuration. Refuses a tier that is not in
    /// the snapshot, and limits that its algorithm cannot reckon with. What was used stays used.
    pub fn set_limit(
        &self,
        tiers: &Tiers,
        name: &str,
        limit: Option<u64>,
        until_ms: u64,
    ) -> Result<(), String> {
        let tier = tiers.index(name).and_then(|index| tiers.get(index));
        let tier = tier.ok_or_else(|| format!("there is no tier `{name}`"))?;
        let Some(limit) = limit else {
            tier.emergency.set(0, 0);
            return Ok(());
        };
        let most = match tier.rule.algorithm {
            Algorithm::SlidingLog => MOST_LOGGED,
            Algorithm::Concurrency => u64::from(u32::MAX),
            Algorithm::Leaky => MOST.min(MOST_IN_BUCKET / tier.rule.max_delay_ms.max(1)),
            Algorithm::SlidingWindow
            | Algorithm::FixedWindow
            | Algorithm::Bucket
            | Algorithm::Quota
            | Algorithm::Lease => MOST,
        };
        if limit > most {
            return Err(format!("the limit of tier `{name}` is at most {most}"));
        }
        tier.emergency.set(limit, until_ms);
        Ok(())
    }

    /// How many tiers have a limit that was set by hand. Forgets those of tiers that are no more.
    pub fn emergencies(&self, now_ms: u64) -> u64 {
        let known = self.emergencies.list();
        known.iter().filter(|(_, emergency)| emergency.at(now_ms).is_some()).count() as u64
    }

    /// The limit that holds now in place of the configuration's, and until when.
    pub fn emergency(&self, name: &str, now_ms: u64) -> Option<(u64, u64)> {
        let emergency = self.emergencies.get(name);
        let limit = emergency.at(now_ms)?;
        Some((limit, emergency.until_ms.load(Ordering::Acquire)))
    }
}

impl Rule {
    /// The same with another limit; a burst grows or shrinks as much.
    pub(super) fn limited(self, limit: u64) -> Self {
        let scaled = u128::from(self.burst) * u128::from(limit) / u128::from(self.limit.max(1));
        let most = MOST_IN_BUCKET / self.window_ms;
        let burst = u64::try_from(scaled).unwrap_or(u64::MAX).min(most);
        // A small bucket that shrinks still has room for one, unless nothing may pass.
        let burst = burst.max(self.burst.min(limit).min(1));
        Self { limit, burst, ..self }
    }
}
