//! Who is banned, for administrators.

use super::counters::Counters;
use super::tier::Tiers;

/// One caller that is banned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ban {
    pub tier: String,
    /// In the form that `lift_bans` takes.
    pub caller: String,
    /// Milliseconds since the epoch.
    pub until_ms: u64,
    /// Bans in a row, this one included; each is twice as long as the one before.
    pub bans: u32,
}

impl Counters {
    /// The callers that are banned now, at most `maximum`, those with the longest bans first.
    pub fn bans(&self, tiers: &Tiers, maximum: usize, now_unix_ms: u64) -> Vec<Ban> {
        let mut list: Vec<Ban> = Vec::new();
        for shard in self.parts() {
            if !shard.has_bans(now_unix_ms) {
                continue;
            }
            for entry in shard.entries().filter(|entry| entry.is_banned(now_unix_ms)) {
                let (Some(offence), Some(tier)) = (&entry.offence, tiers.name_of(entry.tier)) else {
                    continue;
                };
                list.push(Ban {
                    tier: tier.to_owned(),
                    caller: entry.subject.to_string(),
                    until_ms: offence.banned_until_ms(),
                    bans: offence.bans(),
                });
            }
            drop(shard);
            // Cut after every part, so that the list stays small whatever the counters hold.
            list.sort_by(|one, other| {
                other.until_ms.cmp(&one.until_ms).then_with(|| one.caller.cmp(&other.caller))
            });
            list.truncate(maximum);
        }
        list
    }

    /// How many callers are banned now, and how many bans there have ever been.
    pub fn count_bans(&self, now_unix_ms: u64) -> (u64, u64) {
        let (mut now, mut ever) = (0, 0);
        for shard in self.parts() {
            ever += shard.bans;
            if shard.has_bans(now_unix_ms) {
                now += shard.entries().filter(|entry| entry.is_banned(now_unix_ms)).count() as u64;
            }
        }
        (now, ever)
    }

    /// Ends bans at once, of one tier, one caller (as listed, or `ip:ADDRESS`), both, or all; gives how many. What they have
    /// used stays used.
    pub fn lift_bans(&self, tier: Option<&str>, caller: Option<&str>, now_unix_ms: u64) -> usize {
        let mut goes = self.matcher(tier, caller);
        self.parts().map(|mut shard| shard.lift(now_unix_ms, &mut goes)).sum()
    }
}
