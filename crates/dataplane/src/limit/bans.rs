//! Who is banned: for administrators, and for other processes that shall ban the same.

use serde::{Deserialize, Serialize};

use super::counters::Counters;
use super::offence::Told;
use super::rule::Cost;
use super::shard::{Ask, Key, Shard};
use super::subject::{MAX_PARTS, Part};
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

/// A ban that began or was lifted, for other processes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BanLine {
    tier: String,
    caller: Vec<Part<Box<str>>>,
    /// Milliseconds since the epoch; 0: it was lifted.
    until_ms: u64,
    bans: u32,
    /// From then on it says nothing of how long the next one lasts either.
    ends_ms: u64,
}

impl Counters {
    /// The bans that began or were lifted since the last call, at most `maximum`. Each is given once: whoever takes it tells
    /// it, or keeps trying.
    pub fn take_bans(&self, tiers: &Tiers, maximum: usize) -> Vec<BanLine> {
        let mut lines = Vec::new();
        for mut shard in self.parts().filter(|shard| shard.has_news) {
            take_news(&mut shard, tiers, &mut lines, maximum);
        }
        lines
    }

    /// Bans and lifts as other processes have; gives how many changed anything. Lines of tiers that are no more or ban nobody,
    /// that are over, or for whom there is no room, are left out.
    pub fn restore_bans(&self, tiers: &Tiers, lines: &[BanLine], now_unix_ms: u64) -> usize {
        lines.iter().filter(|line| self.restore_ban(tiers, line, now_unix_ms).is_some()).count()
    }

    fn restore_ban(&self, tiers: &Tiers, line: &BanLine, now_ms: u64) -> Option<()> {
        let tier = tiers.index(&line.tier).and_then(|index| tiers.get(index))?;
        let penalty = tier.penalty.as_ref()?;
        let subject: Vec<Part<&str>> = line.caller.iter().map(Part::borrow).collect();
        if !(1..=MAX_PARTS).contains(&subject.len()) {
            return None;
        }
        let rule = tier.rule_at(now_ms, 0).unwrap_or(tier.rule);
        let key = Key { hash: self.hash(tier.key, &subject), tier: tier.key, subject: &subject };
        let mut shard = self.at(self.place(key.hash))?;
        if line.until_ms == 0 {
            return shard.offence(&key).filter(|offence| offence.bans() > 0).map(|offence| offence.end());
        }
        if line.ends_ms <= now_ms {
            return None;
        }
        let ask = Ask { key, rule: &rule, penalty: Some(penalty), cost: Cost::LATER, now_ms };
        if !shard.read(&ask).1 {
            self.make_room(&mut shard, now_ms, false).ok()?;
        }
        let told = Told { until_ms: line.until_ms, bans: line.bans };
        let offence = shard.entry(&ask).offence.get_or_insert_default();
        let is_new = offence.restore(penalty, told, now_ms);
        let (until, expiry) = (offence.banned_until_ms(), offence.expires_at_ms());
        shard.ban_until(until);
        shard.expect(expiry, now_ms);
        is_new.then_some(())
    }

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

/// What is news in one part, as far as there is room for it; the rest stays news.
fn take_news(shard: &mut Shard, tiers: &Tiers, lines: &mut Vec<BanLine>, maximum: usize) {
    for entry in shard.entries_mut() {
        let Some(offence) = &mut entry.offence else { continue };
        if lines.len() >= maximum {
            return;
        }
        let Some(tier) = tiers.name_of(entry.tier).filter(|_| offence.take_news()) else { continue };
        lines.push(BanLine {
            tier: tier.to_owned(),
            caller: entry.subject.parts().to_vec(),
            until_ms: offence.banned_until_ms(),
            bans: offence.bans(),
            ends_ms: offence.expires_at_ms(),
        });
    }
    shard.has_news = false;
}
