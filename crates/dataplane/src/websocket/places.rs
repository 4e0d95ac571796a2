//! How many WebSocket connections a route has, and whose they are. Kept by name from one snapshot to the next.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hashbrown::HashMap;

use crate::caller::{Caller, CallerKind};
use crate::refusal::Refusal;
use crate::websocket::Settings;
use crate::websocket::rate::{Rates, SharedRate};

/// The connections of one route, on all workers.
#[derive(Debug, Default)]
pub struct Places {
    open: Mutex<Open>,
}

/// Has no more entries than there are connections.
#[derive(Debug, Default)]
struct Open {
    all: u32,
    by_caller: HashMap<Holder, Held>,
}

/// What a caller has, as long as it has a connection.
#[derive(Debug, Default)]
struct Held {
    connections: u32,
    messages: SharedRate,
}

/// Whose a connection is: the caller, or where there is none the client's address.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Holder {
    User(Arc<str>),
    Partner(Arc<str>),
    Address(IpAddr),
}

impl Holder {
    fn of(caller: &Caller, client: IpAddr) -> Self {
        let name = |name: &Option<Arc<str>>| name.as_ref().map(Arc::clone);
        let known = match caller.kind {
            CallerKind::Anonymous => None,
            CallerKind::User => name(&caller.user).map(Self::User),
            CallerKind::Partner | CallerKind::Certificate => {
                name(&caller.partner).map(Self::Partner).or_else(|| name(&caller.user).map(Self::User))
            }
        };
        known.unwrap_or(Self::Address(client))
    }
}

/// One connection; its place is free again when this is dropped.
#[derive(Debug)]
pub struct Place {
    places: Arc<Places>,
    holder: Option<(Holder, SharedRate)>,
}

/// A place for one more connection, unless the route or the caller has as many as may be.
pub fn take(settings: &Settings, caller: &Caller, client: IpAddr) -> Result<Place, Refusal> {
    let mut open = settings.places.lock();
    if let Some(limit) = settings.max_connections.filter(|limit| open.all >= *limit) {
        return Err(Refusal::WebSocketsFull { limit });
    }
    let is_by_caller = settings.max_per_caller.is_some() || settings.messages_per_caller.is_some();
    let holder = is_by_caller.then(|| open.hold(Holder::of(caller, client), settings.max_per_caller));
    let holder = holder.transpose()?;
    open.all += 1;
    Ok(Place { places: Arc::clone(&settings.places), holder })
}

impl Open {
    /// One more connection of a caller.
    fn hold(&mut self, holder: Holder, maximum: Option<u32>) -> Result<(Holder, SharedRate), Refusal> {
        let held = self.by_caller.entry(holder.clone()).or_default();
        if let Some(limit) = maximum.filter(|limit| held.connections >= *limit) {
            return Err(Refusal::TooManyWebSockets { limit });
        }
        held.connections += 1;
        Ok((holder, Arc::clone(&held.messages)))
    }
}

impl Place {
    /// What limits the messages of the client of this connection.
    pub fn rates(&self, settings: &Settings) -> Rates {
        let shared = self.holder.as_ref().map(|(_, shared)| Arc::clone(shared));
        Rates::new(settings.messages_per_second, settings.messages_per_caller.zip(shared))
    }
}

impl Places {
    /// No code under this lock can panic half-way, so a poisoned lock still guards sound counts.
    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.places.lock();
        open.all = open.all.saturating_sub(1);
        let Some((holder, _)) = &self.holder else { return };
        if let Some(held) = open.by_caller.get_mut(holder) {
            held.connections = held.connections.saturating_sub(1);
            if held.connections == 0 {
                open.by_caller.remove(holder);
            }
        }
    }
}

/// The places of every route that has some.
#[derive(Debug, Default)]
pub struct AllPlaces {
    by_route: Mutex<BTreeMap<Box<str>, Arc<Places>>>,
}

impl AllPlaces {
    /// Those of a route; those of routes that are gone, and whose connections are, are forgotten.
    pub fn get(&self, route: &str) -> Arc<Places> {
        let mut by_route = self.by_route.lock().unwrap_or_else(PoisonError::into_inner);
        by_route.retain(|name, places| **name == *route || Arc::strong_count(places) > 1);
        Arc::clone(by_route.entry(route.into()).or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, Instant};

    fn settings(per_caller: Option<u32>, all: Option<u32>, places: Arc<Places>) -> Settings {
        Settings {
            idle_timeout: Duration::from_secs(1),
            max_message: 1,
            messages_per_second: None,
            messages_per_caller: None,
            max_per_caller: per_caller,
            max_connections: all,
            places,
        }
    }

    fn anonymous() -> Caller {
        Caller::new(CallerKind::Anonymous, None, Vec::new())
    }

    #[test]
    fn a_place_is_free_again_when_its_connection_ends_and_nothing_is_left_of_its_holder() {
        let all = AllPlaces::default();
        let settings = settings(Some(1), None, all.get("a"));
        let address = IpAddr::from([192, 0, 2, 1]);
        let place = take(&settings, &anonymous(), address).expect("the first");
        let refused = take(&settings, &anonymous(), address).expect_err("the second");
        assert_eq!(refused, Refusal::TooManyWebSockets { limit: 1 });
        drop(take(&settings, &anonymous(), IpAddr::from([192, 0, 2, 2])).expect("another's first"));
        drop(place);
        assert!(settings.places.lock().by_caller.is_empty());
        assert_eq!(settings.places.lock().all, 0);
    }

    #[test]
    fn messages_of_a_caller_are_limited_over_its_connections_and_snapshots_until_the_last_has_ended() {
        let (all, now) = (AllPlaces::default(), Instant::now());
        let settings = || Settings { messages_per_caller: Some(1), ..settings(None, None, all.get("a")) };
        let (before, after) = (settings(), settings());
        let [one, other] = [1, 2].map(|last| IpAddr::from([192, 0, 2, last]));
        let first = take(&before, &anonymous(), one).expect("the first");
        let second = take(&after, &anonymous(), one).expect("the second");
        assert!(first.rates(&before).admit(now));
        assert!(!second.rates(&after).admit(now));
        let others = take(&after, &anonymous(), other).expect("another's first");
        assert!(others.rates(&after).admit(now));
        drop((first, others));
        assert!(!second.rates(&after).admit(now));
        drop(second);
        assert!(after.places.lock().by_caller.is_empty());
    }

    #[test]
    fn connections_of_an_earlier_snapshot_count_in_the_next() {
        let all = AllPlaces::default();
        let before = settings(None, Some(1), all.get("a"));
        let place = take(&before, &anonymous(), IpAddr::from([192, 0, 2, 1])).expect("the first");
        drop(before);
        drop(all.get("b"));
        let after = settings(None, Some(1), all.get("a"));
        let refused = take(&after, &anonymous(), IpAddr::from([192, 0, 2, 2])).expect_err("full");
        assert_eq!(refused, Refusal::WebSocketsFull { limit: 1 });
        drop(place);
        drop(after);
        drop(all.get("b"));
        assert_eq!(all.by_route.lock().expect("no panic").len(), 1);
    }
}
