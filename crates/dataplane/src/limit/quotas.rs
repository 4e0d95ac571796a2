//! Counts that are to survive the process: what was added goes out in batches, and what was stored comes back in.

use serde::{Deserialize, Serialize};

use super::algorithm::State;
use super::counters::Counters;
use super::rule::{Algorithm, Cost};
use super::shard::{Ask, Key};
use super::subject::{MAX_PARTS, Part};
use super::tier::Tiers;

/// A count of one caller in one period of a tier.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QuotaLine {
    tier: String,
    caller: Vec<Part<Box<str>>>,
    /// The number of its day or month.
    period: u64,
    /// Milliseconds since the epoch from which on it counts no more.
    ends_ms: u64,
    /// Going out, what was added since it last went out; coming in, all of it.
    used: u64,
}

impl Counters {
    /// What was added to quotas since the last call, at most `maximum` lines; there may be more where there are so many.
    /// What is given counts as stored: whoever takes it stores it, or keeps trying.
    pub fn take_unsaved(&self, tiers: &Tiers, maximum: usize) -> Vec<QuotaLine> {
        let mut lines = Vec::new();
        if tiers.quotas().next().is_none() {
            return lines;
        }
        for mut shard in self.parts() {
            for entry in shard.entries_mut() {
                if lines.len() >= maximum {
                    return lines;
                }
                let State::Quota(quota) = &mut entry.state else { continue };
                let Some(tier) = tiers.name_of(entry.tier).filter(|_| quota.unsaved > 0) else { continue };
                lines.push(QuotaLine {
                    tier: tier.to_owned(),
                    caller: entry.subject.parts().to_vec(),
                    period: quota.fixed.period.index,
                    ends_ms: quota.fixed.period.end_ms,
                    used: std::mem::take(&mut quota.unsaved),
                });
            }
        }
        lines
    }

    /// Adds what was stored to the counts of this process; gives how many lines it took in. Lines of tiers that are no more,
    /// or whose period is over, are left out; so are those for whom there is no room.
    pub fn restore(&self, tiers: &Tiers, lines: &[QuotaLine], now_unix_ms: u64) -> usize {
        lines.iter().filter(|line| self.restore_one(tiers, line, now_unix_ms).is_some()).count()
    }

    fn restore_one(&self, tiers: &Tiers, line: &QuotaLine, now_ms: u64) -> Option<()> {
        let tier = tiers.index(&line.tier).and_then(|index| tiers.get(index))?;
        let rule = tier.rule_at(now_ms, 0).filter(|rule| rule.algorithm == Algorithm::Quota)?;
        let subject: Vec<Part<&str>> = line.caller.iter().map(Part::borrow).collect();
        if rule.period_at(now_ms).index != line.period || !(1..=MAX_PARTS).contains(&subject.len()) {
            return None;
        }
        let key = Key { hash: self.hash(tier.key, &subject), tier: tier.key, subject: &subject };
        let ask = Ask { key, rule: &rule, penalty: None, cost: Cost::LATER, now_ms };
        let mut shard = self.at(self.place(key.hash))?;
        let (_, is_known) = shard.read(&ask);
        if !is_known {
            self.make_room(&mut shard, now_ms, false).ok()?;
        }
        let State::Quota(quota) = &mut shard.entry(&ask).state else { return None };
        quota.fixed.charge(line.used);
        shard.expect(line.ends_ms, now_ms);
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_the_same_when_it_has_gone_out_and_come_back() {
        let caller = vec![
            Part::User("ann".into()),
            Part::V6 { prefix: "2001:db8::".parse().unwrap(), length: 64 },
            Part::Header { name: "x-device".into(), digest: [7; 16] },
            Part::Global,
        ];
        let line = QuotaLine { tier: "daily".to_owned(), caller, period: 20_000, ends_ms: 5, used: 3 };
        let text = serde_json::to_string(&line).unwrap();
        assert_eq!(serde_json::from_str::<QuotaLine>(&text).unwrap(), line);
    }
}
