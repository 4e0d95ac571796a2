//! Who used a key, since it was last told to Python.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::Serialize;

/// Networks that are told of one key at a time; more are only said to be there.
const MAX_NETWORKS: usize = 16;

/// The use of one key.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct KeyUse {
    pub id: String,
    pub requests: u64,
    pub last_ms: u64,
    /// Networks that it was used from: /24 of IPv4, /48 of IPv6, by their first address.
    pub networks: Vec<IpAddr>,
    /// There were more networks than can be told at a time.
    pub more: bool,
}

#[derive(Default)]
pub(super) struct Uses {
    requests: u64,
    last_ms: u64,
    networks: Vec<IpAddr>,
    more: bool,
}

impl Uses {
    pub(super) fn count(&mut self, client: IpAddr, now_ms: u64) {
        self.requests += 1;
        self.last_ms = self.last_ms.max(now_ms);
        let network = network_of(client);
        if self.networks.contains(&network) {
            return;
        }
        if self.networks.len() < MAX_NETWORKS {
            self.networks.push(network);
        } else {
            self.more = true;
        }
    }

    /// `None` where there was no use since the last time.
    pub(super) fn take(&mut self, id: &str) -> Option<KeyUse> {
        let Self { requests, last_ms, networks, more } = std::mem::take(self);
        (requests > 0).then(|| KeyUse { id: id.to_owned(), requests, last_ms, networks, more })
    }
}

/// Addresses of one customer move within such a network.
fn network_of(client: IpAddr) -> IpAddr {
    match client {
        IpAddr::V4(address) => {
            let [a, b, c, _] = address.octets();
            Ipv4Addr::new(a, b, c, 0).into()
        }
        IpAddr::V6(address) => {
            let [a, b, c, ..] = address.segments();
            Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_told_once_and_no_more_than_fit() {
        let mut uses = Uses::default();
        let id = "k1";
        for number in 0..40_u8 {
            uses.count(Ipv4Addr::new(192, 0, number % 20, number).into(), u64::from(number));
        }
        let told = uses.take(id).unwrap();
        assert_eq!(
            (told.requests, told.last_ms, told.networks.len(), told.more),
            (40, 39, MAX_NETWORKS, true)
        );
        assert_eq!(uses.take(id), None);
        for client in ["2001:db8:1:2::3", "2001:db8:1:4::5"] {
            uses.count(client.parse().unwrap(), 1);
        }
        assert_eq!(uses.take(id).unwrap().networks, ["2001:db8:1::".parse::<IpAddr>().unwrap()]);
    }
}
