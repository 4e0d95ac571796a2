//! Which address is the client's: the peer's, unless the peer is a proxy that we trust to say so (O1).

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use ipnet::IpNet;

use crate::http1::fields::trim;
use crate::intake::headers::Tally;
use crate::refusal::Malformed;
use crate::request::{Known, Request, Scheme};

/// Sets `client`, `peer_is_trusted` and, from a trusted peer, the scheme.
///
/// Reads `X-Forwarded-For` from its end and stops at the first address that is not trusted: what stands before it came
/// from the client, who may write what it likes. Refuses what is no address before that point.
pub(super) fn settle(tally: &Tally, trusted: &[IpNet], request: &mut Request) -> Result<(), Malformed> {
    if !is_trusted(request.peer, trusted) {
        return Ok(());
    }
    request.peer_is_trusted = true;
    if tally.forwarded_proto.count > 0 {
        let value = request.slice(tally.forwarded_proto.value);
        request.scheme = forwarded_scheme(value).unwrap_or(request.scheme);
    }
    if tally.forwarded_for.count > 0 {
        request.client = forwarded_client(request, trusted)?;
    }
    Ok(())
}

/// An `https` target needs a secured connection: ours, or that of the trusted proxy (RFC 9110 section 7.4).
///
/// The other way round is no fault: nothing is lost where an `http` target came over a secured one.
pub(super) fn agree(target: Option<Scheme>, request: &Request) -> Result<(), Malformed> {
    match (target, request.scheme) {
        (Some(Scheme::Https), Scheme::Http) => Err(Malformed::SchemeDisagrees),
        (None | Some(Scheme::Http | Scheme::Https), Scheme::Http | Scheme::Https) => Ok(()),
    }
}

fn is_trusted(address: IpAddr, trusted: &[IpNet]) -> bool {
    trusted.iter().any(|net| net.contains(&address))
}

/// The last element is the one that the trusted peer itself wrote.
fn forwarded_scheme(value: &[u8]) -> Option<Scheme> {
    let last = trim(value.rsplit(|&byte| byte == b',').next()?);
    if last.eq_ignore_ascii_case(b"https") {
        Some(Scheme::Https)
    } else if last.eq_ignore_ascii_case(b"http") {
        Some(Scheme::Http)
    } else {
        None
    }
}

fn forwarded_client(request: &Request, trusted: &[IpNet]) -> Result<IpAddr, Malformed> {
    let mut client = request.peer;
    // Several headers are one list (RFC 9110 section 5.3).
    for header in request.headers.iter().rev().filter(|header| header.known == Known::XForwardedFor) {
        for element in request.slice(header.value).rsplit(|&byte| byte == b',') {
            client = parse_address(trim(element)).ok_or(Malformed::ForwardedFor)?;
            if !is_trusted(client, trusted) {
                return Ok(client);
            }
        }
    }
    Ok(client)
}

/// An address, with or without a port. `::ffff:192.0.2.1` is `192.0.2.1`: one client must not have two names.
fn parse_address(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?;
    let address = if let Ok(address) = text.parse::<IpAddr>() {
        address
    } else if let Some(inner) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        inner.parse::<Ipv6Addr>().ok()?.into()
    } else {
        text.parse::<SocketAddr>().ok()?.ip()
    };
    Some(address.to_canonical())
}
