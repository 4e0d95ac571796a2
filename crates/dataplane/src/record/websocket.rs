//! What is counted of the WebSocket connections of a route.

use super::cells::Cell;

/// Why a WebSocket connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    /// The client sent the first close frame.
    Client,
    Service,
    /// The client left without one.
    ClientGone,
    ServiceGone,
    Idle,
    MessageTooLarge,
    TooManyMessages,
    /// A frame had a length that RFC 6455 forbids.
    Malformed,
    Draining,
    /// The worker was stopped, or failed.
    Stopped,
}

/// In the order of `Closed`.
pub(super) const CLOSED: [&str; 10] = [
    "client",
    "service",
    "client_gone",
    "service_gone",
    "idle",
    "message_too_large",
    "too_many_messages",
    "malformed",
    "draining",
    "stopped",
];

impl Closed {
    pub fn text(self) -> &'static str {
        CLOSED.get(self as usize).copied().unwrap_or_default()
    }
}

/// `direction` labels: messages of clients, and of services.
pub(super) const DIRECTIONS: [&str; 2] = ["in", "out"];

/// The writing half for one worker.
#[derive(Debug, Default)]
pub struct WebSocketSlot {
    /// Connections that are open now.
    pub open: Cell,
    pub(super) messages: [Cell; DIRECTIONS.len()],
    pub(super) closed: [Cell; CLOSED.len()],
}

impl WebSocketSlot {
    /// Messages that have begun, of the client and of the service.
    pub fn passed(&self, messages: [u64; DIRECTIONS.len()]) {
        for (cell, count) in self.messages.iter().zip(messages) {
            cell.add(count);
        }
    }

    pub fn closed(&self, closed: Closed) {
        if let Some(cell) = self.closed.get(closed as usize) {
            cell.add(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_end_has_its_own_label() {
        assert_eq!(Closed::Stopped as usize + 1, CLOSED.len());
        assert_eq!(Closed::Draining.text(), "draining");
        assert_eq!(Closed::ServiceGone.text(), "service_gone");
        assert_eq!(Closed::Malformed.text(), "malformed");
    }
}
