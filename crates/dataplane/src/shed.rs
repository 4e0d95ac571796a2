//! Shed: can the node take one more request?
//! Takes the requests in flight. Gives an `Admission` that counts until it is dropped. Refuses with `Overloaded`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::refusal::Refusal;

/// What a refused client is told to wait; requests in flight end within seconds.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Requests in flight on the whole node.
#[derive(Debug, Default)]
pub struct Load {
    in_flight: AtomicU32,
}

/// One request in flight.
#[derive(Debug)]
pub struct Admission {
    load: Arc<Load>,
}

impl Load {
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }
}

/// Admits up to `maximum` requests at once (requirement OV-4).
pub fn admit(load: &Arc<Load>, maximum: u32) -> Result<Admission, Refusal> {
    let before = load.in_flight.fetch_add(1, Ordering::Relaxed);
    let admission = Admission { load: Arc::clone(load) };
    if before >= maximum {
        return Err(Refusal::Overloaded { retry_after: RETRY_AFTER });
    }
    Ok(admission)
}

impl Drop for Admission {
    fn drop(&mut self) {
        self.load.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_request_over_the_maximum_is_refused_until_another_ends() {
        let load = Arc::new(Load::default());
        let first = admit(&load, 1);
        assert!(first.is_ok());
        assert!(matches!(admit(&load, 1), Err(Refusal::Overloaded { .. })));
        assert_eq!(load.in_flight(), 1);
        drop(first);
        assert!(admit(&load, 1).is_ok());
        assert_eq!(load.in_flight(), 0);
    }
}
