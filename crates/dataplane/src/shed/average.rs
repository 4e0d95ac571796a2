//! The average use of something that only its total is known of, over a sliding window.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Readings that are kept; where more come within the window, the oldest go.
const READINGS: usize = 1_024;

/// Totals of used processor time, as old as the window.
#[derive(Debug, Default)]
pub struct Average {
    readings: VecDeque<(Instant, Duration)>,
}

impl Average {
    /// Takes in the total used so far; gives how many processors were used on average over the window, in thousandths.
    /// What was before the first reading counts as idle, so that a node that starts does not shed for its own start.
    pub fn observe(&mut self, total: Duration, window: Duration, now: Instant) -> u64 {
        self.readings.push_back((now, total));
        // The last one that is older than the window stays: it is where the window begins.
        while self.readings.len() > READINGS
            || self.readings.get(1).is_some_and(|(at, _)| now.saturating_duration_since(*at) >= window)
        {
            self.readings.pop_front();
        }
        let Some((since, before)) = self.readings.front() else { return 0 };
        let elapsed = now.saturating_duration_since(*since).max(window).as_micros().max(1);
        let used = total.saturating_sub(*before).as_micros();
        u64::try_from(used * 1_000 / elapsed).unwrap_or(u64::MAX)
    }
}
