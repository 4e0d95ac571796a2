//! How many keys were looked up for which client address, so that one address cannot take the store from all.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};

/// Addresses that are counted in one second; a further one waits for the next.
const MAX_ADDRESSES: usize = 10_000;
const WINDOW_MS: u64 = 1_000;

#[derive(Default)]
pub(super) struct Askers {
    window: u64,
    counts: HashMap<IpAddr, u32>,
}

impl Askers {
    pub(super) fn may_ask(&mut self, client: IpAddr, most: u32, now_ms: u64) -> bool {
        let window = now_ms / WINDOW_MS;
        if window != self.window {
            self.window = window;
            self.counts.clear();
        }
        let address = subscriber(client);
        if self.counts.len() >= MAX_ADDRESSES && !self.counts.contains_key(&address) {
            return false;
        }
        let count = self.counts.entry(address).or_default();
        *count = count.saturating_add(1);
        *count <= most
    }
}

/// One subscriber has a whole /64 of IPv6.
fn subscriber(client: IpAddr) -> IpAddr {
    match client {
        IpAddr::V4(_) => client,
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_address_has_its_own_share_of_each_second() {
        let mut askers = Askers::default();
        let [one, other]: [IpAddr; 2] = ["192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap()];
        let asked =
            |askers: &mut Askers, client, now| (0..5).filter(|_| askers.may_ask(client, 3, now)).count();
        assert_eq!(asked(&mut askers, one, 1_000), 3);
        assert_eq!(asked(&mut askers, other, 1_000), 3);
        assert_eq!(asked(&mut askers, one, 1_999), 0);
        assert_eq!(asked(&mut askers, one, 2_000), 3);
    }

    #[test]
    fn addresses_of_one_subscriber_share_and_their_number_is_bounded() {
        let mut askers = Askers::default();
        assert!(askers.may_ask("2001:db8::1".parse().unwrap(), 1, 0));
        assert!(!askers.may_ask("2001:db8::2".parse().unwrap(), 1, 0));
        for number in 0..20_000 {
            askers.may_ask(std::net::Ipv4Addr::from_bits(number).into(), 1, 0);
        }
        assert_eq!(askers.counts.len(), MAX_ADDRESSES);
    }
}
