//! What becomes of callers that are refused again and again: `Retry-After` grows, and in the end they are banned for a
//! time. Pure: the time is an argument. Requests during a ban are not held against anybody.

use super::reading::{Reading, Verdict, seconds};
use crate::snapshot::document::TierDocument;

/// Doublings after which there is nothing left to double.
const MAX_DOUBLINGS: u32 = 32;

/// What a tier does to them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Penalty {
    ban: Option<Ban>,
    /// How far `Retry-After` grows; 0: it does not.
    max_retry_after_ms: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Ban {
    after: u32,
    within_ms: u64,
    lasts_ms: u64,
    at_most_ms: u64,
}

/// The past of one caller in one tier.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Offence {
    /// Refusals since `since_ms`.
    refusals: u32,
    since_ms: u64,
    bans: u32,
    banned_until_ms: u64,
    /// Retries, one after the other, that came before the time told.
    early: u32,
    told_until_ms: u64,
    /// From here on it says nothing any more.
    forgotten_ms: u64,
    /// A ban has begun or was lifted, and nobody was told yet.
    is_news: bool,
}

impl Penalty {
    pub(super) fn compile(document: &TierDocument) -> Result<Option<Self>, String> {
        if let Some(ban) = &document.ban
            && (ban.after == 0 || ban.lasts_ms == 0 || ban.at_most_ms < ban.lasts_ms)
        {
            return Err(
                "its ban comes after nothing, lasts no time, or is longer than the longest".to_owned()
            );
        }
        let ban = document.ban.map(|ban| Ban {
            after: ban.after,
            within_ms: ban.within_ms,
            lasts_ms: ban.lasts_ms,
            at_most_ms: ban.at_most_ms,
        });
        let max_retry_after_ms = document.max_retry_after_ms;
        Ok((ban.is_some() || max_retry_after_ms > 0).then_some(Self { ban, max_retry_after_ms }))
    }
}

impl Offence {
    /// The answer to a banned caller.
    pub(super) fn banned(&self, limit: u64, now_ms: u64) -> Option<Reading> {
        let rest = self.banned_until_ms.checked_sub(now_ms).filter(|rest| *rest > 0)?;
        let reading = Reading::refused(limit, self.banned_until_ms.div_ceil(1000), seconds(rest));
        Some(Reading { verdict: Verdict::Banned, ..reading })
    }

    pub(super) fn banned_until_ms(&self) -> u64 {
        self.banned_until_ms
    }

    pub(super) fn bans(&self) -> u32 {
        self.bans
    }

    pub(super) fn expires_at_ms(&self) -> u64 {
        self.forgotten_ms
    }

    /// Who passes has waited long enough.
    pub(super) fn admitted(&mut self) {
        (self.early, self.told_until_ms) = (0, 0);
    }

    /// Ends a ban at once, and forgets what led to it.
    pub(super) fn lift(&mut self) {
        *self = Self { is_news: true, ..Self::default() };
    }

    /// Has a ban begun, or was it lifted, since this was asked last?
    pub(super) fn take_news(&mut self) -> bool {
        std::mem::take(&mut self.is_news)
    }

    /// Goes on with a ban that another process began, if it lasts longer than what is known. It is as if it had begun here:
    /// it lasts no longer than the longest of ours.
    pub(super) fn restore(&mut self, penalty: &Penalty, told: Told, now_ms: u64) -> bool {
        let Some(ban) = penalty.ban.filter(|_| told.until_ms > self.banned_until_ms) else { return false };
        self.banned_until_ms = told.until_ms.min(now_ms.saturating_add(ban.at_most_ms));
        self.bans = self.bans.max(told.bans);
        self.forgotten_ms = self.forgotten_ms.max(self.banned_until_ms.saturating_add(ban.at_most_ms));
        true
    }

    /// Ends a ban that was lifted elsewhere; nobody has to be told.
    pub(super) fn end(&mut self) {
        *self = Self::default();
    }

    /// Takes in a refusal, and gives what the caller is told: a longer time to wait, or that it is banned.
    pub(super) fn refused(&mut self, penalty: &Penalty, reading: Reading, now_ms: u64) -> Reading {
        if let Some(ban) = &penalty.ban
            && self.offends(ban, now_ms)
        {
            return self.banned(reading.limit, now_ms).unwrap_or(reading);
        }
        if penalty.max_retry_after_ms == 0 {
            return reading;
        }
        self.early = if now_ms < self.told_until_ms { self.early.saturating_add(1) } else { 0 };
        let doubled = reading.retry_after.saturating_mul(1 << self.early.min(MAX_DOUBLINGS));
        let most = (penalty.max_retry_after_ms / 1000).max(reading.retry_after);
        let retry_after = doubled.min(most);
        self.told_until_ms = now_ms.saturating_add(retry_after.saturating_mul(1000));
        self.forgotten_ms = self.forgotten_ms.max(self.told_until_ms);
        Reading { retry_after, ..reading }
    }

    /// Counts a refusal. Gives whether it is one too many.
    fn offends(&mut self, ban: &Ban, now_ms: u64) -> bool {
        if now_ms.saturating_sub(self.since_ms) >= ban.within_ms || now_ms < self.since_ms {
            (self.refusals, self.since_ms) = (0, now_ms);
        }
        self.refusals = self.refusals.saturating_add(1);
        self.forgotten_ms = self.forgotten_ms.max(self.since_ms.saturating_add(ban.within_ms));
        if self.refusals < ban.after {
            return false;
        }
        if now_ms.saturating_sub(self.banned_until_ms) >= ban.at_most_ms {
            self.bans = 0;
        }
        let lasts = ban.lasts_ms.saturating_mul(1 << self.bans.min(MAX_DOUBLINGS)).min(ban.at_most_ms);
        self.banned_until_ms = now_ms.saturating_add(lasts);
        self.bans = self.bans.saturating_add(1);
        self.refusals = 0;
        self.forgotten_ms = self.banned_until_ms.saturating_add(ban.at_most_ms);
        self.is_news = true;
        true
    }
}

/// A ban as another process tells it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Told {
    pub(super) until_ms: u64,
    pub(super) bans: u32,
}
