//! Exemplars: for each bucket of a route's histograms a trace that fell into it lately.

use std::sync::Mutex;

use super::cells::Cell;
use super::distribution::BUCKETS;

/// How long an exemplar stays at least, so that a worker seldom writes one.
const KEPT_MS: u64 = 1_000;

/// One request whose trace is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Exemplar {
    pub(super) trace_id: u128,
    pub(super) microseconds: u64,
    /// When the request ended; 0 where there is no exemplar.
    pub(super) unix_ms: u64,
}

impl Exemplar {
    pub(super) fn is_there(&self) -> bool {
        self.unix_ms > 0
    }

    pub(super) fn seconds(&self) -> f64 {
        self.microseconds as f64 / 1e6
    }

    /// Thirty-two hexadecimal digits.
    pub(super) fn trace(&self) -> String {
        format!("{:032x}", self.trace_id)
    }
}

/// One for each bucket of a histogram.
pub(super) type Kept = [Exemplar; BUCKETS];

/// Where a route's histograms put theirs: the gateway's share, the service's, the whole.
pub(super) const OVERHEAD: usize = 0;
pub(super) const UPSTREAM: usize = 1;
pub(super) const TOTAL: usize = 2;

/// Those of one worker for the histograms of one route.
#[derive(Debug, Default)]
pub(super) struct Exemplars {
    /// When the next one is taken, by the bucket of the whole duration.
    due_ms: [Cell; BUCKETS],
    kept: Mutex<Option<Box<[Kept; 3]>>>,
}

/// Bucket and duration of one request in one histogram.
pub(super) type Place = Option<(usize, u64)>;

impl Exemplars {
    /// Whether a request whose whole duration fell into this bucket is to be kept. All that most requests pay for.
    pub(super) fn wants(&self, bucket: usize, now_ms: u64) -> bool {
        self.due_ms.get(bucket).is_some_and(|due| due.get() <= now_ms)
    }

    /// Keeps a trace in a bucket of each histogram. While a scrape reads it is left out: a worker never waits.
    #[cold]
    pub(super) fn keep(&self, trace: &[u8; 32], places: [Place; 3], now_ms: u64) {
        let Some((bucket, _)) = places.get(TOTAL).copied().flatten() else { return };
        let Ok(mut kept) = self.kept.try_lock() else { return };
        let Some(trace_id) =
            std::str::from_utf8(trace).ok().and_then(|text| u128::from_str_radix(text, 16).ok())
        else {
            return;
        };
        for (histogram, place) in kept.get_or_insert_default().iter_mut().zip(places) {
            if let Some((bucket, microseconds)) = place
                && let Some(exemplar) = histogram.get_mut(bucket)
            {
                *exemplar = Exemplar { trace_id, microseconds, unix_ms: now_ms };
            }
        }
        if let Some(due) = self.due_ms.get(bucket) {
            due.set(now_ms + KEPT_MS);
        }
    }

    /// Puts those of one histogram that are newer into `newest`.
    pub(super) fn collect(&self, histogram: usize, newest: &mut Kept) {
        // No code under this lock can panic half-way, so a poisoned lock still guards sound values.
        let kept = self.kept.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let Some(known) = kept.as_ref().and_then(|kept| kept.get(histogram)) else { return };
        for (newest, known) in newest.iter_mut().zip(known) {
            if known.unix_ms > newest.unix_ms {
                *newest = *known;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &[u8; 32] = b"0af7651916cd43dd8448eb211c80319c";

    #[test]
    fn a_bucket_takes_an_exemplar_a_second() {
        let exemplars = Exemplars::default();
        assert!(exemplars.wants(3, 5_000));
        exemplars.keep(TRACE, [None, None, Some((3, 42))], 5_000);
        assert!(!exemplars.wants(3, 5_999) && exemplars.wants(3, 6_000) && exemplars.wants(4, 5_001));
    }

    #[test]
    fn the_newest_of_all_workers_is_shown_and_the_others_stay() {
        let (one, two) = (Exemplars::default(), Exemplars::default());
        one.keep(TRACE, [Some((1, 7)), None, Some((3, 42))], 5_000);
        two.keep(TRACE, [Some((2, 8)), None, Some((3, 43))], 6_000);
        let (mut total, mut overhead) = (Kept::default(), Kept::default());
        for exemplars in [&one, &two] {
            exemplars.collect(TOTAL, &mut total);
            exemplars.collect(OVERHEAD, &mut overhead);
        }
        assert_eq!((total[3].microseconds, overhead[1].microseconds, overhead[2].microseconds), (43, 7, 8));
        assert_eq!(total[3].trace().as_bytes(), TRACE);
    }

    #[test]
    fn what_is_no_trace_id_is_not_kept() {
        let exemplars = Exemplars::default();
        exemplars.keep(b"not a trace id of thirty-two dig", [None, None, Some((0, 1))], 1);
        let mut kept = Kept::default();
        exemplars.collect(TOTAL, &mut kept);
        assert_eq!(kept, Kept::default());
    }
}
