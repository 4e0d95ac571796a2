//! Shed: can the node take one more request?
//! Takes the requests in flight. Gives an `Admission` that counts until it is dropped. Refuses with `Overloaded`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::refusal::Refusal;
use crate::snapshot::document::Priority;

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

/// How many of `maximum` requests may be in flight before one of this priority is refused: P0 has all of it, and the
/// others leave room for whoever matters more (OV-1's steps, taken of the in-flight maximum of OV-4).
fn room(maximum: u32, priority: Priority) -> u32 {
    let percent: u64 = match priority {
        Priority::P0 => 100,
        Priority::P1 => 90,
        Priority::P2 => 75,
        Priority::P3 => 60,
    };
    // Never more than `maximum`, so it fits again.
    (u64::from(maximum) * percent).div_ceil(100) as u32
}

/// Admits a request while fewer are in flight than its priority has room for.
pub fn admit(load: &Arc<Load>, maximum: u32, priority: Priority) -> Result<Admission, Refusal> {
    let before = load.in_flight.fetch_add(1, Ordering::Relaxed);
    let admission = Admission { load: Arc::clone(load) };
    if before >= room(maximum, priority) {
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
    fn the_less_a_route_matters_the_earlier_it_is_refused() {
        let load = Arc::new(Load::default());
        let mut under_way = Vec::new();
        for (priority, room) in [(Priority::P3, 6), (Priority::P2, 8), (Priority::P1, 9), (Priority::P0, 10)]
        {
            while let Ok(admission) = admit(&load, 10, priority) {
                under_way.push(admission);
            }
            assert_eq!(under_way.len(), room, "{priority:?}");
        }
    }

    #[test]
    fn the_request_over_the_maximum_is_refused_until_another_ends() {
        let load = Arc::new(Load::default());
        let first = admit(&load, 1, Priority::P1);
        assert!(first.is_ok());
        assert!(matches!(admit(&load, 1, Priority::P1), Err(Refusal::Overloaded { .. })));
        assert_eq!(load.in_flight(), 1);
        drop(first);
        assert!(admit(&load, 1, Priority::P1).is_ok());
        assert_eq!(load.in_flight(), 0);
    }
}
