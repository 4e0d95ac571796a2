//! Whether a client sends its body fast enough. Silence alone does not tell: one byte at a time is never silent.

use std::time::{Duration, Instant};

/// How long a client has been waited for, and what has come of it. Only made once one is waited for.
#[derive(Debug, Default)]
pub struct Pace {
    waited: Duration,
    since: Option<Instant>,
    bytes: u64,
}

impl Pace {
    /// How long the client may be waited for from now on: `most` at a time, and `most` in all beyond a second for each
    /// `rate` bytes that it has sent.
    pub fn wait(&mut self, now: Instant, most: Duration, rate: u32) -> Duration {
        self.since = Some(now);
        let earned = Duration::from_secs_f64(self.bytes as f64 / f64::from(rate.max(1)));
        (most + earned).saturating_sub(self.waited).min(most)
    }

    /// The client has sent some of its body; whatever time goes by until the next wait is somebody else's.
    pub fn came(&mut self, bytes: usize, now: Instant) {
        if let Some(since) = self.since.take() {
            self.waited += now.saturating_duration_since(since);
        }
        self.bytes += bytes as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: Duration = Duration::from_secs(30);
    const RATE: u32 = 100;

    /// What is left for the next wait of a client that sends `bytes` after each `seconds`.
    fn after(pieces: u32, bytes: usize, seconds: u64) -> Duration {
        let (mut pace, mut now) = (Pace::default(), Instant::now());
        for _ in 0..pieces {
            pace.wait(now, MOST, RATE);
            now += Duration::from_secs(seconds);
            pace.came(bytes, now);
        }
        pace.wait(now, MOST, RATE)
    }

    #[test]
    fn bytes_that_drip_use_the_time_up_and_a_steady_stream_never_does() {
        assert_eq!(after(0, 0, 0), MOST);
        assert_eq!(after(2, 1, 10).as_secs(), 10);
        assert_eq!(after(4, 1, 10), Duration::ZERO);
        assert_eq!(after(10_000, 1_000, 10), MOST);
        assert_eq!(after(100, 500, 10), Duration::ZERO, "half of the rate");
    }

    #[test]
    fn what_a_client_sent_ahead_of_its_time_is_no_leave_to_be_silent() {
        assert_eq!(after(1, 1_000_000, 0), MOST);
    }

    #[test]
    fn only_time_in_which_the_client_is_waited_for_counts() {
        let (mut pace, now) = (Pace::default(), Instant::now());
        pace.wait(now, MOST, RATE);
        pace.came(1, now);
        // The service takes an hour for that piece.
        assert_eq!(pace.wait(now + Duration::from_secs(3_600), MOST, RATE), MOST);
    }
}
