//! How short the node is of processor time and memory, and which priorities it refuses for that.

use std::time::{Duration, Instant};

use super::thresholds::Thresholds;
use crate::snapshot::document::Priority;

/// How many priorities there are.
const PRIORITIES: u8 = 4;

/// One resource: how much of it is used, and how many priorities are refused for it, the least important first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Level {
    pub percent: u16,
    pub refused: u8,
}

impl Level {
    pub fn refuses(self, priority: Priority) -> bool {
        priority as u8 + self.refused >= PRIORITIES
    }
}

/// All of it in one word, so that a request reads it at once and never half of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pressure {
    pub cpu: Level,
    pub memory: Level,
}

impl Pressure {
    pub fn refuses(self, priority: Priority) -> bool {
        self.cpu.refuses(priority) || self.memory.refuses(priority)
    }

    pub(super) fn pack(self) -> u64 {
        let part = |level: Level| u64::from(level.percent) << 8 | u64::from(level.refused);
        part(self.cpu) << 32 | part(self.memory)
    }

    pub(super) fn unpack(word: u64) -> Self {
        let level = |part: u64| Level { percent: (part >> 8) as u16, refused: part as u8 };
        Self { cpu: level(word >> 32), memory: level(word & 0xFFFF_FFFF) }
    }
}

/// Follows one resource and decides which priorities are refused for it.
///
/// Rises at once, as far as the thresholds say. Falls by one priority at a time, only after the use has been `margin`
/// under that priority's threshold, and not before the last change is `hold` ago: what was just let in again has to show
/// in the average before more is let in.
#[derive(Clone, Copy, Debug)]
pub struct Watch {
    refused: u8,
    changed: Instant,
}

impl Watch {
    pub fn new(now: Instant) -> Self {
        Self { refused: 0, changed: now }
    }

    pub fn observe(&mut self, percent: u16, thresholds: &Thresholds, hold: Duration, now: Instant) -> Level {
        let wanted = thresholds.refused_at(percent);
        let is_settled = now.saturating_duration_since(self.changed) >= hold;
        if wanted > self.refused {
            (self.refused, self.changed) = (wanted, now);
        } else if self.refused > 0 && is_settled && thresholds.lets_in_again(self.refused, percent) {
            (self.refused, self.changed) = (self.refused - 1, now);
        }
        Level { percent, refused: self.refused }
    }
}
