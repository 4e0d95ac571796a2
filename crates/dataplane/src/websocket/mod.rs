//! WebSocket (RFC 6455): the handshake, how many connections there may be, and the tunnel that a connection becomes.
//! No stage of its own: the stages ask it, and it knows nothing of them but what is counted.

pub mod frames;
pub mod handshake;
mod lane;
pub mod places;
mod rate;
pub mod side;
pub mod tunnel;

use std::sync::Arc;
use std::time::Duration;

use crate::snapshot::document::WebSocketDocument;
use places::Places;

/// What a route allows of WebSocket.
#[derive(Debug)]
pub struct Settings {
    pub idle_timeout: Duration,
    /// Bytes of a message as they are sent, all its frames together.
    pub max_message: u64,
    pub messages_per_second: Option<u32>,
    /// Of all connections of a caller.
    pub messages_per_caller: Option<u32>,
    pub max_per_caller: Option<u32>,
    pub max_connections: Option<u32>,
    /// Who has connections now. Outlives snapshots.
    pub places: Arc<Places>,
}

impl Settings {
    pub fn compile(document: &WebSocketDocument, places: Arc<Places>) -> Self {
        Self {
            idle_timeout: Duration::from_millis(document.idle_timeout_ms),
            max_message: document.max_message_bytes,
            messages_per_second: document.messages_per_second,
            messages_per_caller: document.messages_per_second_per_caller,
            max_per_caller: document.max_connections_per_caller,
            max_connections: document.max_connections,
            places,
        }
    }
}
