//! Durations as records, measures and waits have them.

use std::time::Duration;

/// Whole microseconds, rounded down.
pub fn micros(duration: Duration) -> u64 {
    // Not `as_micros`, which reckons with 128 bits.
    duration.as_secs().saturating_mul(1_000_000).saturating_add(u64::from(duration.subsec_micros()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_less_than_a_microsecond_is_left_out_and_what_is_too_long_is_the_longest_there_is() {
        assert_eq!(micros(Duration::from_nanos(999)), 0);
        assert_eq!(micros(Duration::new(7, 42_999)), 7_000_042);
        assert_eq!(micros(Duration::MAX), u64::MAX);
    }
}
