//! Heads of requests that did not come at once, and since when they came.

use std::collections::VecDeque;
use std::time::Instant;

/// Such heads that have not become requests yet, at most. Of one beyond nobody knows that it was slow.
const MOST: usize = 128;

#[derive(Debug, Default)]
pub struct Heads {
    /// The stream whose head is being received, and since when, where not all of it was there at once.
    current: Option<(u32, Option<Instant>)>,
    slow: VecDeque<(u32, Instant)>,
}

impl Heads {
    /// Its first frame is here. `since`: when the first byte of it was, if that was not just now.
    pub fn begin(&mut self, stream: u32, since: Option<Instant>) {
        self.current = Some((stream, since));
    }

    /// The rest of it is still to come; gives since when it comes.
    pub fn wait(&mut self) -> Option<Instant> {
        self.current.as_mut().map(|(_, since)| *since.get_or_insert_with(Instant::now))
    }

    /// It is complete.
    pub fn end(&mut self) {
        let Some((stream, Some(since))) = self.current.take() else { return };
        if self.slow.len() == MOST {
            self.slow.pop_front();
        }
        self.slow.push_back((stream, since));
    }

    /// When the first byte of the head of this stream came; `None` where all of it came at once. Streams are asked for in the
    /// order of their numbers: what is before this one was the head of no request, and is forgotten.
    pub fn began(&mut self, stream: u32) -> Option<Instant> {
        while let Some((slow, since)) = self.slow.front().copied().filter(|(slow, _)| *slow <= stream) {
            self.slow.pop_front();
            if slow == stream {
                return Some(since);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_head_that_was_waited_for_is_found_once_by_its_stream() {
        let (mut heads, first) = (Heads::default(), Instant::now());
        heads.begin(1, Some(first));
        heads.end();
        heads.begin(3, None);
        heads.end();
        heads.begin(5, None);
        let waited = heads.wait().unwrap();
        assert_eq!(heads.wait(), Some(waited));
        heads.end();
        assert_eq!(heads.wait(), None);
        let began: Vec<_> = [1, 1, 3, 5, 5].map(|stream| heads.began(stream)).into();
        assert_eq!(began, [Some(first), None, None, Some(waited), None]);
    }

    #[test]
    fn heads_that_became_no_request_are_forgotten_and_never_too_many() {
        let (mut heads, now) = (Heads::default(), Instant::now());
        let since = |stream: u32| now + Duration::from_millis(stream.into());
        for stream in 0..1_000 {
            heads.begin(stream, Some(since(stream)));
            heads.end();
        }
        assert_eq!(heads.slow.len(), MOST);
        assert_eq!(heads.began(990), Some(since(990)));
        assert_eq!(heads.slow.len(), 9);
    }
}
