//! What a connection counts in, from its accept to its end, whichever worker serves it.

use std::net::IpAddr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hashbrown::HashMap;

use crate::listener::accept::Door;
use crate::node::Node;
use crate::snapshot::Listener;

/// Why a connection gets no ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    Listener,
    Client,
}

/// A connection's place in the counts of the whole node. Given back when dropped.
pub struct Ticket {
    node: Arc<Node>,
    pub door: Door,
    worker: usize,
    client: Option<IpAddr>,
}

impl Ticket {
    /// Counts a connection in, for the worker that is to serve it; refuses the one over a maximum. A client that is
    /// not known yet is counted later.
    pub fn take(
        node: &Arc<Node>,
        door: &Door,
        listener: &Listener,
        (worker, client): (usize, Option<IpAddr>),
    ) -> Result<Self, Full> {
        let before = door.open.fetch_add(1, Ordering::Relaxed);
        let all = node.connections.fetch_add(1, Ordering::Relaxed);
        let worker = node.crowd.choose(worker, all);
        node.crowd.enter(worker);
        // From here on dropping it takes back what was counted.
        let mut ticket = Self { node: Arc::clone(node), door: door.clone(), worker, client: None };
        if before >= listener.max_connections {
            return Err(Full::Listener);
        }
        if client.is_some_and(|client| !ticket.enter_client(listener, client)) {
            return Err(Full::Client);
        }
        Ok(ticket)
    }

    /// Counts the connection for its client, once that is known. False where the client has its maximum.
    pub fn enter_client(&mut self, listener: &Listener, client: IpAddr) -> bool {
        let Some(maximum) = listener.max_connections_per_client else { return true };
        let client = network(client);
        let has_room = self.client.is_some() || self.door.clients.enter(client, maximum);
        if has_room {
            self.client.get_or_insert(client);
        }
        has_room
    }

    /// Who is to serve the connection.
    pub fn worker(&self) -> usize {
        self.worker
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.node.connections.fetch_sub(1, Ordering::Relaxed);
        self.door.open.fetch_sub(1, Ordering::Relaxed);
        self.node.crowd.leave(self.worker);
        if let Some(client) = self.client {
            self.door.clients.leave(client);
        }
    }
}

/// Connections by client, of one listener. Holds nobody who has none, so `max_connections` bounds it.
#[derive(Debug, Default)]
pub struct Clients {
    open: Mutex<HashMap<IpAddr, u32>>,
}

impl Clients {
    /// False where the client has its maximum.
    fn enter(&self, client: IpAddr, maximum: u32) -> bool {
        let mut open = self.lock();
        let count = open.entry(client).or_insert(0);
        if *count >= maximum {
            return false;
        }
        *count += 1;
        true
    }

    fn leave(&self, client: IpAddr) {
        let mut open = self.lock();
        if let Some(count) = open.get_mut(&client) {
            *count -= 1;
            if *count == 0 {
                open.remove(&client);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, u32>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What counts as one client: an IPv4 address, however it is written, or an IPv6 network of 64 bits, which is the
/// least that anybody is given.
fn network(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6((u128::from(address) >> 64 << 64).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(text: &str) -> IpAddr {
        network(text.parse().unwrap())
    }

    #[test]
    fn spellings_and_neighbours_of_an_address_are_one_client() {
        assert_eq!(client("::ffff:192.0.2.1"), client("192.0.2.1"));
        assert_ne!(client("192.0.2.2"), client("192.0.2.1"));
        assert_eq!(client("2001:db8:0:1::1"), client("2001:db8:0:1:ffff::2"));
        assert_ne!(client("2001:db8:0:2::1"), client("2001:db8:0:1::1"));
    }

    #[test]
    fn a_client_without_connections_is_forgotten() {
        let (clients, one, other) = (Clients::default(), client("192.0.2.1"), client("192.0.2.2"));
        assert!(clients.enter(one, 2) && clients.enter(one, 2) && !clients.enter(one, 2));
        assert!(clients.enter(other, 2));
        clients.leave(one);
        assert!(clients.enter(one, 2));
        [one, one, other].into_iter().for_each(|client| clients.leave(client));
        assert!(clients.lock().is_empty());
    }
}
