//! What is kept of a request, so that it can be sent once more.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes of bodies that all requests of a node keep together.
#[derive(Debug, Default)]
pub struct Kept(AtomicUsize);

impl Kept {
    pub fn bytes(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// Whether the request can still be sent as it was: nothing of an answer has reached the client, and the body is kept
/// as far as it has been taken.
#[derive(Debug)]
pub struct Replay<'a> {
    store: Option<Store<'a>>,
    loss: Option<Loss>,
}

/// Why the request cannot be sent as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// The client has an interim answer.
    Answered,
    /// The body is longer than is kept.
    LongBody,
    /// The node keeps as much as it may.
    NodeIsFull,
    Trailers,
}

impl Loss {
    /// For the trail.
    pub fn text(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::LongBody => "long_body",
            Self::NodeIsFull => "node_memory",
            Self::Trailers => "trailers",
        }
    }
}

/// Where a body is kept.
#[derive(Debug)]
pub struct Store<'a> {
    /// Of a longer body nothing is kept.
    pub room: usize,
    pub node: &'a Kept,
    /// Bytes that the node keeps at most.
    pub node_room: usize,
    /// What this request has of them.
    held: usize,
}

impl<'a> Store<'a> {
    pub fn new(room: usize, node: &'a Kept, node_room: usize) -> Self {
        Self { room, node, node_room, held: 0 }
    }

    /// Counts bytes against what the node keeps; false where that is too much.
    pub(super) fn hold(&mut self, more: usize) -> bool {
        self.held += more;
        self.node.0.fetch_add(more, Ordering::Relaxed) + more <= self.node_room
    }
}

impl Drop for Store<'_> {
    fn drop(&mut self) {
        if self.held > 0 {
            self.node.0.fetch_sub(self.held, Ordering::Relaxed);
        }
    }
}

impl<'a> Replay<'a> {
    /// Without a store, whatever is taken of a body is lost.
    pub fn new(store: Option<Store<'a>>) -> Self {
        Self { store, loss: None }
    }

    pub fn is_possible(&self) -> bool {
        self.loss.is_none()
    }

    pub fn loss(&self) -> Option<Loss> {
        self.loss
    }

    /// Nothing is sent again any more: what was kept is let go.
    pub fn lose(&mut self, loss: Loss, kept: &mut Vec<u8>) {
        self.loss.get_or_insert(loss);
        if self.store.take().is_some_and(|store| store.held > 0) {
            *kept = Vec::new();
        }
    }

    /// This piece of the body has gone out, behind what is in `kept`.
    pub fn keep(&mut self, piece: &[u8], kept: &mut Vec<u8>) {
        if self.loss.is_some() {
            return;
        }
        let room = self.store.as_ref().map_or(0, |store| store.room);
        if kept.len() + piece.len() > room {
            self.lose(Loss::LongBody, kept);
        } else if self.store.as_mut().is_some_and(|store| store.hold(piece.len())) {
            kept.extend_from_slice(piece);
        } else {
            self.lose(Loss::NodeIsFull, kept);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_kept_up_to_the_room_there_is_and_not_at_all_beyond() {
        let (node, mut kept) = (Kept::default(), b"a".to_vec());
        let mut replay = Replay::new(Some(Store::new(4, &node, 100)));
        replay.keep(b"bcd", &mut kept);
        assert!(replay.is_possible());
        assert_eq!((kept.as_slice(), node.bytes()), (b"abcd".as_slice(), 3));
        replay.keep(b"e", &mut kept);
        assert_eq!(replay.loss(), Some(Loss::LongBody));
        assert_eq!((kept.capacity(), node.bytes()), (0, 0));
        replay.keep(b"f", &mut kept);
        assert!(kept.is_empty(), "what comes after is not taken for the beginning");
    }

    #[test]
    fn what_all_requests_keep_is_bounded_and_given_back() {
        let (node, mut one, mut other) = (Kept::default(), Vec::new(), Vec::new());
        let mut first = Replay::new(Some(Store::new(10, &node, 10)));
        let mut second = Replay::new(Some(Store::new(10, &node, 10)));
        first.keep(b"12345678", &mut one);
        second.keep(b"12", &mut other);
        assert!(second.is_possible());
        second.keep(b"3", &mut other);
        assert_eq!((second.loss(), node.bytes()), (Some(Loss::NodeIsFull), 8));
        drop(first);
        assert_eq!(node.bytes(), 0);
    }
}
