//! What a node has taken ahead of the shared count of one caller, and spends without asking. Pure: the time is an argument.
//!
//! What is taken is charged already. So nodes together never let more pass in a window than the limit and what they hold,
//! which is at most a block each; and what a node does not spend before the window ends is lost to the others.

use super::Told;
use crate::limit::reading::Reading;
use crate::limit::rule::{Cost, Rule};

/// How long an answer is awaited before another request may ask.
const PATIENCE_MS: u64 = 1_000;
/// How long a refusal is believed.
const REFUSED_MS: u64 = 1_000;
/// So much may the clock be set back, or another worker's be behind.
const SLACK_MS: u64 = 1_000;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::limit) struct Lease {
    left: u64,
    /// It may be spent between these. A clock that was set back ends it.
    from_ms: u64,
    until_ms: u64,
    /// Somebody asks for more, and is believed to until then.
    asking_until_ms: u64,
    refused_until_ms: u64,
    /// What callers are told besides.
    limit: u64,
    others: u64,
    reset: u64,
}

/// What was asked.
#[derive(Clone, Copy, Debug)]
pub(in crate::limit) struct Spent {
    pub(in crate::limit) spent: u64,
    pub(in crate::limit) has_claimed: bool,
    pub(in crate::limit) now_ms: u64,
}

impl Lease {
    /// May this request pass by what is at hand? Takes nothing.
    pub(in crate::limit) fn read(&self, now_ms: u64, cost: Cost) -> Reading {
        if self.at_hand(now_ms) >= cost.needed {
            let left = self.left.saturating_sub(cost.charged).saturating_add(self.others);
            return Reading::admitted(self.limit, left, self.reset);
        }
        // A request that needs more than one may be refused where others pass.
        if cost.needed == 1 && (self.from_ms..self.refused_until_ms).contains(&now_ms) {
            let retry_after = self.refused_until_ms.saturating_sub(now_ms).div_ceil(1000).max(1);
            return Reading::refused(self.limit, self.reset, retry_after);
        }
        Reading::unknown()
    }

    pub(in crate::limit) fn charge(&mut self, cost: u64) {
        self.left = self.left.saturating_sub(cost);
    }

    pub(in crate::limit) fn give_back(&mut self, cost: u64) {
        self.left = self.left.saturating_add(cost);
    }

    /// How much to take of a block, for who asks first; others take nothing ahead meanwhile. `None` also where enough is
    /// at hand.
    pub(in crate::limit) fn claim(&mut self, block: u64, now_ms: u64) -> Option<u64> {
        let at_hand = self.at_hand(now_ms);
        let is_refused = (self.from_ms..self.refused_until_ms).contains(&now_ms);
        if now_ms < self.asking_until_ms || is_refused || at_hand > block / 2 {
            return None;
        }
        self.asking_until_ms = now_ms.saturating_add(PATIENCE_MS);
        Some(block.saturating_sub(at_hand)).filter(|more| *more > 0)
    }

    /// The store has answered somebody; `spent` of it are used at once. Who has claimed a block has it now, so that the next
    /// may be claimed.
    pub(in crate::limit) fn told(&mut self, told: &Told, answered: Spent, rule: &Rule) {
        let Spent { spent, has_claimed, now_ms } = answered;
        let at_hand = self.at_hand(now_ms);
        if has_claimed {
            self.asking_until_ms = 0;
        }
        (self.limit, self.others, self.reset) = (told.reading(rule).limit, told.remaining, told.reset);
        self.from_ms = now_ms.saturating_sub(SLACK_MS);
        if !told.passes {
            self.refused_until_ms = now_ms.saturating_add((told.retry_after * 1000).min(REFUSED_MS));
            return;
        }
        // What was there before was of the same window, or has ended with it.
        self.left = at_hand.saturating_add(told.charged.saturating_sub(spent));
        self.until_ms = now_ms.saturating_add(told.ends_in_ms);
        self.refused_until_ms = 0;
    }

    pub(in crate::limit) fn at_hand(&self, now_ms: u64) -> u64 {
        if (self.from_ms..self.until_ms).contains(&now_ms) { self.left } else { 0 }
    }

    pub(in crate::limit) fn expires_at_ms(&self) -> u64 {
        self.until_ms.max(self.asking_until_ms).max(self.refused_until_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limit::rule::Algorithm;

    const NOW: u64 = 1_800_000_000_000;
    const RULE: Rule = Rule {
        algorithm: Algorithm::FixedWindow,
        limit: 100,
        window_ms: 60_000,
        burst: 0,
        max_delay_ms: 0,
        period: None,
    };

    fn granted(charged: u64) -> Told {
        Told { passes: true, remaining: 7, charged, ends_in_ms: 30_000, ..Told::default() }
    }

    fn asked(spent: u64, has_claimed: bool) -> Spent {
        Spent { spent, has_claimed, now_ms: NOW }
    }

    #[test]
    fn one_block_at_most_is_on_its_way_or_at_hand() {
        let mut lease = Lease::default();
        assert_eq!(lease.claim(10, NOW), Some(10));
        assert_eq!(lease.claim(10, NOW), None);
        // Somebody else has asked for no more than it needs: the block is still on its way.
        lease.told(&granted(1), asked(1, false), &RULE);
        assert_eq!((lease.at_hand(NOW), lease.claim(10, NOW)), (0, None));
        lease.told(&granted(10), asked(1, true), &RULE);
        assert_eq!((lease.at_hand(NOW), lease.claim(10, NOW)), (9, None));
        lease.charge(4);
        assert_eq!(lease.claim(10, NOW), Some(5));
        lease.told(&granted(5), asked(0, true), &RULE);
        assert_eq!(lease.at_hand(NOW), 10);
    }

    #[test]
    fn what_is_at_hand_is_spent_within_its_window_and_not_after_a_clock_was_set_back() {
        let mut lease = Lease::default();
        lease.told(&granted(10), asked(1, true), &RULE);
        let reading = lease.read(NOW, Cost::ONE);
        assert!(reading.is_admitted());
        assert_eq!((reading.limit, reading.remaining), (100, 15));
        for (moment, at_hand) in [(NOW - 900, 9), (NOW - 1_100, 0), (NOW + 29_999, 9), (NOW + 30_000, 0)] {
            assert_eq!(lease.at_hand(moment), at_hand, "{moment}");
        }
    }

    #[test]
    fn a_refusal_is_believed_for_a_second_by_those_who_need_one() {
        let mut lease = Lease::default();
        let refused = Told { passes: false, retry_after: 40, ..Told::default() };
        lease.told(&refused, asked(0, true), &RULE);
        assert_eq!(lease.read(NOW + 999, Cost::ONE).retry_after, 1);
        assert_eq!(lease.read(NOW + 999, Cost::of(2)), Reading::unknown());
        assert_eq!(lease.read(NOW + 1_000, Cost::ONE), Reading::unknown());
        assert_eq!(lease.claim(10, NOW + 999), None);
        assert_eq!(lease.claim(10, NOW + 1_000), Some(10));
    }
}
