//! What an attempt waited for before it could be sent, in whole microseconds.

use std::time::Instant;

use crate::micros::micros;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Delays {
    /// For a place at the service.
    pub queued: u64,
    /// For a new connection, its handshake included; `None` where there was one already.
    pub connected: Option<u64>,
}

impl Delays {
    #[must_use]
    pub fn queued_since(self, began: Instant) -> Self {
        Self { queued: self.queued + micros(began.elapsed()), ..self }
    }

    #[must_use]
    pub fn connecting_since(self, began: Instant) -> Self {
        Self { connected: Some(self.connected.unwrap_or(0) + micros(began.elapsed())), ..self }
    }

    /// Those of two attempts, one after the other.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let connected = match (self.connected, other.connected) {
            (Some(one), Some(another)) => Some(one + another),
            (one, another) => one.or(another),
        };
        Self { queued: self.queued + other.queued, connected }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_of_several_attempts_add_up() {
        let pooled = Delays { queued: 5, connected: None };
        let opened = Delays { queued: 1, connected: Some(7) };
        assert_eq!(pooled.and(pooled), Delays { queued: 10, connected: None });
        assert_eq!(pooled.and(opened), Delays { queued: 6, connected: Some(7) });
        assert_eq!(opened.and(opened), Delays { queued: 2, connected: Some(14) });
    }
}
