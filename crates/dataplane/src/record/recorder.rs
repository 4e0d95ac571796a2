//! The records of one worker until they are handed to the queue.

use std::sync::Arc;

use super::entry::Entry;
use super::line::{Memory, encode};
use super::queue::{CHUNK_BYTES, Queue, empty_chunk};

/// Belongs to one worker. Its records are lost with it unless `flush` was called; dropping it flushes.
#[derive(Debug)]
pub struct Recorder {
    queue: Arc<Queue>,
    chunk: Vec<u8>,
    records: u64,
    memory: Memory,
}

impl Recorder {
    pub fn new(queue: Arc<Queue>) -> Self {
        Self { queue, chunk: empty_chunk(), records: 0, memory: Memory::default() }
    }

    /// False where the queue takes no records: then none needs to be made.
    pub fn is_wanted(&self) -> bool {
        !self.queue.takes_none()
    }

    /// Appends one line and gives its length, unless the queue takes no records. Hands the chunk over when it passes 64 KiB
    /// or holds a sixteenth of the queue's records.
    pub fn write(&mut self, entry: &Entry<'_>) -> u64 {
        if self.queue.takes_none() {
            return 0;
        }
        let before = self.chunk.len();
        encode(&mut self.chunk, entry, &mut self.memory);
        let bytes = self.chunk.len() - before;
        self.records += 1;
        if self.chunk.len() >= CHUNK_BYTES || self.records >= self.queue.chunk_records() {
            self.flush();
        }
        bytes as u64
    }

    /// Hands over what was written; does nothing when that is nothing. The worker's tick calls it each 50 ms.
    pub fn flush(&mut self) {
        if self.records > 0 {
            self.queue.push(&mut self.chunk, self.records);
            self.records = 0;
        }
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.flush();
    }
}
