//! What is counted of the HTTP/2 connections of a listener.

use super::cells::Cell;

/// Of what a client sent so much that its connection was closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flood {
    Resets,
    StreamErrors,
    EmptyData,
    SmallData,
    Priority,
    Settings,
    Ping,
    WindowUpdate,
    Continuation,
    Headers,
    Other,
}

/// In the order of `Flood`.
pub(super) const FLOODS: [&str; 11] = [
    "resets",
    "stream_errors",
    "empty_data",
    "small_data",
    "priority",
    "settings",
    "ping",
    "window_update",
    "continuation",
    "headers",
    "other",
];

/// Why a stream was reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResetCause {
    /// By the client.
    Client,
    /// The answer was complete, and the rest of the request was not wanted.
    Unwanted,
    /// More streams than the client may have at once.
    Refused,
    /// What RFC 9113 calls a stream error.
    Malformed,
    /// The answer could not be completed.
    Broken,
}

/// In the order of `ResetCause`.
pub(super) const RESETS: [&str; 5] = ["client", "unwanted", "refused", "malformed", "broken"];

impl ResetCause {
    /// Of one that the gateway sent, by the error code of RFC 9113 section 7.
    pub fn of_ours(reason: u32) -> Self {
        match reason {
            0 => Self::Unwanted,
            2 | 8 => Self::Broken,
            7 => Self::Refused,
            1 | 3..=6 | 9.. => Self::Malformed,
        }
    }
}

/// The writing half for one worker.
#[derive(Debug, Default)]
pub struct Http2Slot {
    /// Connections that began to speak HTTP/2.
    pub connections: Cell,
    pub(super) floods: [Cell; FLOODS.len()],
    pub(super) resets: [Cell; RESETS.len()],
}

impl Http2Slot {
    pub fn flooded(&self, flood: Flood) {
        if let Some(cell) = self.floods.get(flood as usize) {
            cell.add(1);
        }
    }

    pub fn reset(&self, cause: ResetCause) {
        if let Some(cell) = self.resets.get(cause as usize) {
            cell.add(1);
        }
    }
}
