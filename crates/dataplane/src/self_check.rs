//! No stage: the request by which a node asks itself. How it is told from all others, and that every worker has had a turn before it is
//! answered.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use aws_lc_rs::{constant_time, rand};
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use tokio::sync::Notify;

use crate::request::Request;

const PREFIX: &str = "/.well-known/gatewright/self-check/";
const RANDOM_BYTES: usize = 16;
/// Those bytes in base64, without padding.
const TOKEN_BYTES: usize = 22;
/// Less than what `max_uri_bytes` may be at least, so that no listener refuses it.
const PATH_BYTES: usize = PREFIX.len() + TOKEN_BYTES;

/// What a node asks itself with, and its workers as far as that goes. Without `Debug`, since the path is a secret.
pub struct SelfCheck {
    /// `None` where there are no random numbers; then no request is the node's own.
    path: ArcSwapOption<String>,
    places: Box<[Place]>,
}

/// One worker.
#[derive(Default)]
struct Place {
    called: Notify,
    answered: Notify,
}

impl SelfCheck {
    pub fn new(workers: usize) -> Self {
        let mut bytes = [0; RANDOM_BYTES];
        let is_random = rand::fill(&mut bytes).is_ok();
        let path = is_random.then(|| Arc::new(path_of(&BASE64_URL_SAFE_NO_PAD.encode(bytes))));
        Self { path: ArcSwapOption::new(path), places: (0..workers).map(|_| Place::default()).collect() }
    }

    /// The path that the node's own request has.
    pub fn path(&self) -> Option<String> {
        self.path.load().as_ref().map(|path| String::clone(path))
    }

    pub fn token(&self) -> Option<String> {
        self.path().and_then(|path| path.strip_prefix(PREFIX).map(str::to_owned))
    }

    /// From now on this node asks with the token of the one that it takes over from. What is none is ignored.
    pub fn take_over(&self, token: &str) {
        if token.len() == TOKEN_BYTES {
            self.path.store(Some(Arc::new(path_of(token))));
        }
    }

    /// Is this the node's own request? Costs all others the look at a length.
    #[inline]
    pub fn is_asked(&self, request: &Request) -> bool {
        let path = request.path;
        path.end.wrapping_sub(path.start) == PATH_BYTES as u32 && self.is_ours(request.slice(path))
    }

    #[cold]
    fn is_ours(&self, path: &[u8]) -> bool {
        let ours = self.path.load();
        let ours = ours.as_ref();
        ours.is_some_and(|ours| constant_time::verify_slices_are_equal(ours.as_bytes(), path).is_ok())
    }

    /// Answers for a worker whenever somebody calls. A call that nobody has heard yet is not kept twice.
    pub async fn attend(&self, worker: usize) {
        let Some(place) = self.places.get(worker) else { return };
        loop {
            place.called.notified().await;
            place.answered.notify_waiters();
        }
    }

    /// Ends when every worker has had a turn since it began. Never, while one is stuck.
    pub async fn call(&self) {
        let mut answers: Vec<_> =
            self.places.iter().map(|place| Box::pin(place.answered.notified())).collect();
        for (answer, place) in answers.iter_mut().zip(&self.places) {
            // Listening first: an answer that comes at once would be missed.
            answer.as_mut().enable();
            place.called.notify_one();
        }
        for answer in answers {
            answer.await;
        }
    }
}

fn path_of(token: &str) -> String {
    format!("{PREFIX}{token}")
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::net::{IpAddr, Ipv4Addr};
    use std::pin::pin;
    use std::task::{Context, Waker};

    use super::*;

    fn asks(check: &SelfCheck, path: &str) -> bool {
        let mut request = Request::new(IpAddr::V4(Ipv4Addr::LOCALHOST));
        request.append(b"GET ");
        request.path = request.append(path.as_bytes());
        check.is_asked(&request)
    }

    #[test]
    fn only_the_path_with_the_token_is_the_nodes_own() {
        let check = SelfCheck::new(1);
        let path = check.path().unwrap();
        assert_eq!(path.len(), PATH_BYTES);
        assert!(path.len() <= 64, "`max_uri_bytes` may be 64");
        assert!(asks(&check, &path));
        for place in 0..path.len() {
            let mut other = path.clone().into_bytes();
            other[place] ^= 1;
            assert!(!asks(&check, &String::from_utf8(other).unwrap()), "{place}");
        }
        for other in ["", "/", PREFIX, &path[..path.len() - 1], &format!("{path}x")] {
            assert!(!asks(&check, other), "{other}");
        }
    }

    #[test]
    fn every_node_has_a_token_of_its_own_until_it_takes_over() {
        let (old, new) = (SelfCheck::new(1), SelfCheck::new(1));
        assert_ne!(old.path(), new.path());
        new.take_over("no token");
        assert_ne!(old.path(), new.path());
        new.take_over(&old.token().unwrap());
        assert_eq!(old.path(), new.path());
        assert!(asks(&new, &old.path().unwrap()));
    }

    #[test]
    fn a_call_ends_when_every_worker_has_had_a_turn_since() {
        let check = SelfCheck::new(2);
        let mut context = Context::from_waker(Waker::noop());
        let (mut first, mut second) = (pin!(check.attend(0)), pin!(check.attend(1)));
        assert!(first.as_mut().poll(&mut context).is_pending());
        assert!(second.as_mut().poll(&mut context).is_pending());
        let mut call = pin!(check.call());
        assert!(call.as_mut().poll(&mut context).is_pending());
        assert!(first.as_mut().poll(&mut context).is_pending());
        assert!(call.as_mut().poll(&mut context).is_pending());
        assert!(second.as_mut().poll(&mut context).is_pending());
        assert!(call.as_mut().poll(&mut context).is_ready());
        // What was answered before counts for nobody who calls later.
        let mut next = pin!(check.call());
        assert!(next.as_mut().poll(&mut context).is_pending());
        assert!(first.as_mut().poll(&mut context).is_pending());
        assert!(next.as_mut().poll(&mut context).is_pending());
    }
}
