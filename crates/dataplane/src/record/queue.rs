//! From the workers to Python's record thread: chunks of whole lines, bounded by records and by bytes.

mod chunks;

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub(super) use chunks::{CHUNK_BYTES, empty_chunk};
use chunks::{Chunk, Chunks};

/// What has come waits so long for more: each batch costs whoever takes it as much as hundreds of records do.
const GATHERING: Duration = Duration::from_millis(10);
/// It does not wait when the queue holds this share of its bound.
const NEARLY_FULL: u64 = 4;
/// Bytes allowed for each record of the bound.
const BYTES_PER_RECORD: u64 = 2_048;
/// A queue of few records still takes two chunks, so that one large record fits.
const LEAST_BYTES: u64 = 2 * CHUNK_BYTES as u64;
/// A chunk holds at most this share of the bound, so that dropping one loses little.
const CHUNKS_PER_QUEUE: u64 = 16;

/// A bounded queue of records. When it is full the oldest chunk is dropped and its records are counted.
#[derive(Debug)]
pub struct Queue {
    state: Mutex<State>,
    filled: Condvar,
    gathering: Duration,
    maximum_records: AtomicU64,
    written: AtomicU64,
    dropped: AtomicU64,
    queued: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    chunks: Chunks,
    waiting: usize,
    /// Who waits is woken when there are so many bytes or records.
    sought: Sought,
    closed: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct Sought {
    bytes: u64,
    records: u64,
}

impl State {
    fn has(&self, sought: Sought) -> bool {
        self.chunks.bytes() >= sought.bytes || self.chunks.records() >= sought.records
    }
}

/// Whole lines that were taken, the oldest first. Its memory is filled again when it is dropped.
#[derive(Debug)]
pub struct Lines<'q> {
    queue: &'q Queue,
    chunks: Vec<Chunk>,
}

/// How many records went in, were lost because nobody took them in time, and wait now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueCounts {
    pub written: u64,
    pub dropped: u64,
    pub queued: u64,
}

impl Queue {
    /// Takes at most `maximum_records` and 2 KiB times as many bytes, but never less than 128 KiB.
    pub fn new(maximum_records: u64) -> Self {
        Self {
            state: Mutex::default(),
            filled: Condvar::new(),
            gathering: GATHERING,
            maximum_records: AtomicU64::new(maximum_records),
            written: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            queued: AtomicU64::new(0),
        }
    }

    /// Changes the bound; a smaller one takes effect with the next push. With 0, recorders write nothing.
    pub fn resize(&self, maximum_records: u64) {
        self.maximum_records.store(maximum_records, Relaxed);
    }

    /// Gives whole lines, the oldest first: at most `maximum_bytes`, or one chunk where that alone is larger.
    ///
    /// Waits at most `wait` for the first record, and then for at most 10 ms of `wait` for more. `None` when none came, and at
    /// once when the queue is closed and empty. For one thread: a second one could sleep on while there is something.
    pub fn take(&self, maximum_bytes: usize, wait: Duration) -> Option<Lines<'_>> {
        let mut state = self.wait(self.lock(), Sought { bytes: 1, records: 1 }, wait);
        let (records, bytes) = self.bounds();
        let enough = Sought {
            bytes: (maximum_bytes as u64).min(bytes / NEARLY_FULL),
            records: (records / NEARLY_FULL).max(1),
        };
        let left = if state.chunks.records() == 0 { Duration::ZERO } else { wait.min(self.gathering) };
        state = self.wait(state, enough, left);
        let chunks = state.chunks.pop_up_to(maximum_bytes);
        self.queued.store(state.chunks.records(), Relaxed);
        // Only where there are some: dropping them takes the lock.
        (!chunks.is_empty()).then(|| Lines { queue: self, chunks })
    }

    /// Until there is what is sought, the queue is closed, or the time is over.
    fn wait<'q>(
        &'q self,
        mut state: MutexGuard<'q, State>,
        sought: Sought,
        time: Duration,
    ) -> MutexGuard<'q, State> {
        (state.sought, state.waiting) = (sought, state.waiting + 1);
        let waited = self.filled.wait_timeout_while(state, time, |state| !state.closed && !state.has(sought));
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        state.waiting -= 1;
        state
    }

    /// Ends every wait. Records may still come in and be taken, so that the last ones of a worker are not lost.
    pub fn close(&self) {
        self.lock().closed = true;
        self.filled.notify_all();
    }

    /// Reads counters without the lock.
    pub fn counts(&self) -> QueueCounts {
        QueueCounts {
            written: self.written.load(Relaxed),
            dropped: self.dropped.load(Relaxed),
            queued: self.queued.load(Relaxed),
        }
    }

    pub(super) fn takes_none(&self) -> bool {
        self.maximum_records.load(Relaxed) == 0
    }

    /// Of records and of bytes.
    fn bounds(&self) -> (u64, u64) {
        let records = self.maximum_records.load(Relaxed);
        (records, records.saturating_mul(BYTES_PER_RECORD).max(LEAST_BYTES))
    }

    /// Records after which a worker hands its chunk over.
    pub(super) fn chunk_records(&self) -> u64 {
        (self.maximum_records.load(Relaxed) / CHUNKS_PER_QUEUE).max(1)
    }

    /// Takes the lines in `bytes` and leaves an empty buffer there.
    pub(super) fn push(&self, bytes: &mut Vec<u8>, records: u64) {
        let (maximum_records, maximum_bytes) = self.bounds();
        let most = self.chunk_records();
        let mut state = self.lock();
        state.chunks.append(bytes, records, most);
        let dropped = state.chunks.drop_oldest(maximum_records, maximum_bytes);
        self.written.fetch_add(records, Relaxed);
        self.dropped.fetch_add(dropped, Relaxed);
        self.queued.store(state.chunks.records(), Relaxed);
        let somebody_waits = state.waiting > 0 && state.has(state.sought);
        drop(state);
        if somebody_waits {
            self.filled.notify_one();
        }
    }

    /// No code under this lock can panic half-way, so a poisoned lock still guards a sound state.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lines<'_> {
    /// In bytes; never 0.
    pub fn size(&self) -> usize {
        self.chunks.iter().map(|chunk| chunk.bytes.len()).sum()
    }

    /// A copy in one piece.
    pub fn to_vec(&self) -> Vec<u8> {
        let mut copy = vec![0; self.size()];
        self.copy_to(&mut copy);
        copy
    }

    /// Writes them one behind the other; `out` has their size.
    pub fn copy_to(&self, mut out: &mut [u8]) {
        for Chunk { bytes, .. } in &self.chunks {
            let Some((place, rest)) = out.split_at_mut_checked(bytes.len()) else { return };
            place.copy_from_slice(bytes);
            out = rest;
        }
    }
}

impl Drop for Lines<'_> {
    fn drop(&mut self) {
        let chunks = std::mem::take(&mut self.chunks);
        // What there is no use for is freed without the lock: a worker must not wait for that.
        let _useless = self.queue.lock().chunks.recycle(chunks);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;
    use std::sync::Arc;
    use std::thread;

    const NOW: Duration = Duration::ZERO;

    fn take(queue: &Queue, maximum_bytes: usize, wait: Duration) -> Option<String> {
        let lines = queue.take(maximum_bytes, wait)?;
        Some(String::from_utf8(lines.to_vec()).expect("lines are text"))
    }

    fn push(queue: &Queue, line: &str) {
        queue.push(&mut line.as_bytes().to_vec(), line.matches('\n').count() as u64);
    }

    #[test]
    fn lines_come_out_in_the_order_they_went_in() {
        let queue = Queue::new(100);
        push(&queue, "a\nb\n");
        push(&queue, "c\n");
        assert_eq!(take(&queue, 1_000, NOW).as_deref(), Some("a\nb\nc\n"));
        assert_eq!(take(&queue, 1_000, NOW), None);
        assert_eq!(queue.counts(), QueueCounts { written: 3, dropped: 0, queued: 0 });
    }

    #[test]
    fn a_full_queue_drops_its_oldest_records_and_counts_them() {
        let queue = Queue::new(3);
        for line in ["1\n", "2\n", "3\n", "4\n", "5\n"] {
            push(&queue, line);
        }
        assert_eq!(queue.counts(), QueueCounts { written: 5, dropped: 2, queued: 3 });
        assert_eq!(take(&queue, 1_000, NOW).as_deref(), Some("3\n4\n5\n"));
    }

    #[test]
    fn bytes_are_bounded_as_well_as_records() {
        let queue = Queue::new(64);
        let line = format!("{}\n", "x".repeat(30_000));
        for _ in 0..10 {
            push(&queue, &line);
        }
        assert_eq!(queue.counts(), QueueCounts { written: 10, dropped: 6, queued: 4 });
    }

    #[test]
    fn a_batch_is_bounded_but_never_starves() {
        let queue = Queue::new(16);
        push(&queue, "aaaa\n");
        push(&queue, "bbbb\n");
        push(&queue, "cccc\n");
        assert_eq!(take(&queue, 10, NOW).as_deref(), Some("aaaa\nbbbb\n"));
        assert_eq!(take(&queue, 1, NOW).as_deref(), Some("cccc\n"));
    }

    #[test]
    fn a_shrunken_queue_drops_with_the_next_push() {
        let queue = Queue::new(64);
        (0..20).for_each(|_| push(&queue, "x\n"));
        queue.resize(2);
        push(&queue, "y\n");
        assert!(queue.counts().queued <= 2);
        assert_eq!(queue.counts().dropped + queue.counts().queued, 21);
    }

    #[test]
    fn a_closed_queue_gives_what_it_has_and_then_does_not_wait() {
        let queue = Queue::new(10);
        push(&queue, "a\n");
        queue.close();
        push(&queue, "b\n");
        let hour = Duration::from_secs(3_600);
        assert_eq!(take(&queue, 1_000, hour).as_deref(), Some("a\nb\n"));
        assert_eq!(take(&queue, 1_000, hour), None);
    }

    #[test]
    fn a_push_and_a_close_wake_who_waits() {
        let queue = Arc::new(Queue::new(10));
        let taker = thread::spawn({
            let queue = Arc::clone(&queue);
            move || {
                let mut lines = 0;
                while let Some(batch) = queue.take(1_000, Duration::from_secs(60)) {
                    lines += batch.size() / 2;
                }
                lines
            }
        });
        push(&queue, "a\n");
        push(&queue, "b\n");
        queue.close();
        assert_eq!(taker.join().expect("taker ends"), 2);
    }

    #[test]
    fn what_comes_soon_after_the_first_record_is_taken_with_it() {
        let hour = Duration::from_secs(3_600);
        let queue = Arc::new(Queue { gathering: hour, ..Queue::new(1_000) });
        push(&queue, "first\n");
        let taker = thread::spawn({
            let queue = Arc::clone(&queue);
            move || take(&queue, 12, hour)
        });
        while queue.lock().sought.bytes != 12 {
            thread::yield_now();
        }
        push(&queue, "other\n");
        assert_eq!(taker.join().expect("taker ends").as_deref(), Some("first\nother\n"));
    }

    #[test]
    fn a_queue_that_is_a_quarter_full_is_not_waited_for() {
        let hour = Duration::from_secs(3_600);
        let queue = Queue { gathering: hour, ..Queue::new(8) };
        push(&queue, "1\n");
        push(&queue, "2\n");
        assert_eq!(take(&queue, 1_000, hour).as_deref(), Some("1\n2\n"));
        // Nor one that large records fill.
        push(&queue, &format!("{}\n", "x".repeat(LEAST_BYTES as usize / 4)));
        assert!(queue.take(1 << 20, hour).is_some());
    }

    #[test]
    fn every_record_of_many_threads_is_taken_or_counted_as_dropped() {
        let queue = Arc::new(Queue::new(50));
        let writers: Vec<_> = (0..4)
            .map(|_| {
                let queue = Arc::clone(&queue);
                thread::spawn(move || (0..2_000).for_each(|_| push(&queue, "12345678\n")))
            })
            .collect();
        let mut taken = 0;
        while writers.iter().any(|writer| !writer.is_finished()) {
            taken += queue.take(90, Duration::from_millis(1)).map_or(0, |batch| batch.size() as u64 / 9);
            assert!(queue.counts().queued <= 50);
        }
        queue.close();
        while let Some(batch) = queue.take(900, NOW) {
            taken += batch.size() as u64 / 9;
        }
        let counts = queue.counts();
        assert_eq!((counts.written, counts.queued), (8_000, 0));
        assert_eq!(taken + counts.dropped, 8_000);
    }

    #[test]
    fn memory_that_was_taken_is_filled_again() {
        let queue = Queue::new(1_000);
        let mut chunk = empty_chunk();
        let mut filled = |times: usize| -> HashSet<*const u8> {
            let fill = |_| {
                chunk.resize(CHUNK_BYTES, b'\n');
                let memory = chunk.as_ptr();
                queue.push(&mut chunk, 1);
                memory
            };
            (0..times).map(fill).collect()
        };
        let first = filled(3);
        drop(queue.take(usize::MAX, NOW));
        // What was freed, these would get.
        let decoys = [empty_chunk(), empty_chunk(), empty_chunk()];
        filled(1);
        assert!(filled(2).is_subset(&first));
        drop(decoys);
    }
}
