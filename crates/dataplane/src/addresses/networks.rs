//! Networks as people write them: `10.0.0.0/8`, `2001:db8::/32`, or one address.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// First and last address, as numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Span {
    V4(u32, u32),
    V6(u128, u128),
}

/// Addresses of IPv4 in IPv6 (`::ffff:10.0.0.1`) are those of IPv4, as they are everywhere.
pub(super) fn span(text: &str) -> Result<Span, String> {
    let wrong = || format!("`{text}` is no network; write `10.0.0.0/8`, `10.1.2.3` or `fd00::/8`");
    let (address, length) = match text.split_once('/') {
        Some((address, length)) => (address, Some(prefix(length).ok_or_else(wrong)?)),
        None => (text, None),
    };
    let span = match address.parse().map_err(|_| wrong())? {
        IpAddr::V4(address) => v4(address, length.unwrap_or(32)),
        IpAddr::V6(address) => match address.to_ipv4_mapped() {
            Some(mapped) => v4(mapped, length.unwrap_or(128).checked_sub(96).ok_or_else(wrong)?),
            None => v6(address, length.unwrap_or(128)),
        },
    };
    span.ok_or_else(wrong)?.ok_or_else(|| format!("`{text}` has bits set outside its prefix"))
}

/// Digits alone: Rust would take `+8`, too.
fn prefix(text: &str) -> Option<u32> {
    let is_number = (1..=3).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().ok()).flatten()
}

/// `None`: no such prefix; then: the address has bits outside of it.
fn v4(address: Ipv4Addr, length: u32) -> Option<Option<Span>> {
    let first = address.to_bits();
    let host = u32::MAX.checked_shr(length).unwrap_or(0);
    (length <= 32).then(|| (first & host == 0).then_some(Span::V4(first, first | host)))
}

fn v6(address: Ipv6Addr, length: u32) -> Option<Option<Span>> {
    let first = address.to_bits();
    let host = u128::MAX.checked_shr(length).unwrap_or(0);
    (length <= 128).then(|| (first & host == 0).then_some(Span::V6(first, first | host)))
}
