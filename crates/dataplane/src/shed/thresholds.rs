//! Above which use of a resource which priorities are refused.

use crate::snapshot::document::Priority;

/// No use is above it.
pub(super) const NEVER: u16 = u16::MAX;

/// The use of one resource, in percent, above which each priority is refused; P0 first, and never rising.
#[derive(Clone, Copy, Debug)]
pub struct Thresholds {
    pub(super) percents: [u16; 4],
    /// How far below its threshold the use must be before a priority is let in again.
    pub(super) margin: u16,
}

impl Thresholds {
    /// Above this use, in percent, the priority is refused.
    pub(super) fn of(&self, priority: Priority) -> u16 {
        let [p0, p1, p2, p3] = self.percents;
        match priority {
            Priority::P0 => p0,
            Priority::P1 => p1,
            Priority::P2 => p2,
            Priority::P3 => p3,
        }
    }

    /// How many priorities are refused at this use.
    pub(super) fn refused_at(&self, percent: u16) -> u8 {
        self.percents.iter().filter(|threshold| percent > **threshold).count() as u8
    }

    /// Whether the most important of the `refused` priorities may be let in again.
    pub(super) fn lets_in_again(&self, refused: u8, percent: u16) -> bool {
        let index = self.percents.len().saturating_sub(usize::from(refused));
        self.percents.get(index).is_none_or(|threshold| percent.saturating_add(self.margin) <= *threshold)
    }
}
