//! Lines in chunks of one size, whose memory is used again: a chunk that is new to the process costs a worker more in
//! page faults than the records in it cost to write.

use std::collections::VecDeque;

/// A chunk is handed over when it has this many bytes.
pub(in crate::record) const CHUNK_BYTES: usize = 64 * 1024;
/// Room for the record that passes the limit, so that a chunk does not grow.
const CHUNK_ROOM: usize = CHUNK_BYTES + 8 * 1024;
/// Emptied chunks kept to be filled again: twice what the record thread takes at once.
const SPARE_CHUNKS: usize = 32;

/// Whole lines.
#[derive(Debug)]
pub(super) struct Chunk {
    pub(super) bytes: Vec<u8>,
    records: u64,
}

/// The chunks that wait, the oldest first, and those that are empty.
#[derive(Debug, Default)]
pub(super) struct Chunks {
    waiting: VecDeque<Chunk>,
    spare: Vec<Vec<u8>>,
    records: u64,
    bytes: u64,
}

impl Chunks {
    pub(super) fn records(&self) -> u64 {
        self.records
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Takes the lines in `bytes` and leaves an empty buffer there.
    ///
    /// Small chunks are joined with the last one, up to `most` records: a quiet gateway would otherwise queue thousands of
    /// almost empty buffers of full size.
    pub(super) fn append(&mut self, bytes: &mut Vec<u8>, records: u64, most: u64) {
        self.records += records;
        self.bytes += bytes.len() as u64;
        if let Some(last) = self.waiting.back_mut()
            && last.bytes.len() + bytes.len() <= CHUNK_BYTES
            && last.records + records <= most
        {
            last.bytes.extend_from_slice(bytes);
            last.records += records;
            bytes.clear();
            return;
        }
        let empty = self.spare.pop().unwrap_or_else(empty_chunk);
        self.waiting.push_back(Chunk { bytes: std::mem::replace(bytes, empty), records });
    }

    /// Keeps within the bounds, and says how many records that cost.
    pub(super) fn drop_oldest(&mut self, maximum_records: u64, maximum_bytes: u64) -> u64 {
        let mut dropped = 0;
        while self.records > maximum_records || self.bytes > maximum_bytes {
            let Some(oldest) = self.pop() else { break };
            dropped += oldest.records;
            self.recycle(vec![oldest]);
        }
        dropped
    }

    /// At most `maximum_bytes`, or one chunk where that alone is larger.
    pub(super) fn pop_up_to(&mut self, maximum_bytes: usize) -> Vec<Chunk> {
        let (mut taken, mut total) = (Vec::new(), 0);
        while let Some(next) = self.waiting.front() {
            total += next.bytes.len();
            if total > maximum_bytes && !taken.is_empty() {
                break;
            }
            taken.extend(self.pop());
        }
        taken
    }

    /// Keeps the memory of chunks, and gives back those that it has no use for.
    pub(super) fn recycle(&mut self, mut chunks: Vec<Chunk>) -> Vec<Chunk> {
        let room = SPARE_CHUNKS.saturating_sub(self.spare.len());
        let kept = chunks.extract_if(.., |chunk| chunk.is_of_one_size()).take(room);
        self.spare.extend(kept.map(|mut chunk| {
            chunk.bytes.clear();
            chunk.bytes
        }));
        chunks
    }

    fn pop(&mut self) -> Option<Chunk> {
        let chunk = self.waiting.pop_front()?;
        self.records -= chunk.records;
        self.bytes -= chunk.bytes.len() as u64;
        Some(chunk)
    }
}

impl Chunk {
    /// A buffer that one huge record has grown is for the allocator.
    fn is_of_one_size(&self) -> bool {
        (CHUNK_ROOM..=2 * CHUNK_BYTES).contains(&self.bytes.capacity())
    }
}

pub(in crate::record) fn empty_chunk() -> Vec<u8> {
    Vec::with_capacity(CHUNK_ROOM)
}
