//! The host: from the one Host header, in one spelling, and the same as in an absolute target.

use std::io::Write;
use std::net::Ipv6Addr;

use crate::http1::block::end_of_host;
use crate::intake::headers::Tally;
use crate::intake::target::TargetAuthority;
use crate::refusal::{Malformed, Refusal};
use crate::request::{Request, Scheme, Span, Version};

/// A host name by RFC 1035 has no more bytes, nor one of its labels.
const MAX_HOST_BYTES: usize = 253;
const MAX_LABEL_BYTES: usize = 63;

/// Sets host and authority.
///
/// Refuses a Host that is missing (but for HTTP/1.0), repeated, malformed, or another than the target's.
pub(super) fn settle(
    tally: &Tally,
    target: Option<TargetAuthority<'_>>,
    request: &mut Request,
) -> Result<(), Malformed> {
    match tally.host.count {
        0 => return without_header(target, request),
        1 => {}
        2.. => return Err(Malformed::RepeatedHost),
    }
    let sent = tally.host.value;
    let port = if let Some((host, port)) = usual(sent, request) {
        // As it was sent it is in its one spelling: nothing is copied.
        (request.host, request.authority) = (host, sent);
        port
    } else {
        let (name, port) = split(request.slice(sent)).ok_or(Malformed::Host)?;
        let (start, length) = (sent.start as usize, name.len());
        append_name(start..start + length, request)?;
        append_port(port, request);
        port
    };
    match target {
        Some(target) => agree(&target, port, request),
        None => Ok(()),
    }
}

/// Where the name stands in a Host that needs no second look, and the port. `None` for all that is merely rare as well.
fn usual(sent: Span, request: &Request) -> Option<(Span, Option<u16>)> {
    let (start, text) = (sent.start as usize, request.text.get(..sent.end as usize)?);
    let end = end_of_host(text, start);
    // No label is too long where the whole name is not.
    let name = text.get(start..end).filter(|name| name.len() <= MAX_LABEL_BYTES)?;
    let port = match text.get(end..)? {
        [] => None,
        [b':', digits @ ..] => Some(parse_port(digits)?),
        _ => return None,
    };
    let is_whole = !matches!(name, [] | [b'.', ..] | [.., b'.']);
    is_whole.then_some((Span { start: sent.start, end: end as u32 }, port))
}

/// Only HTTP/2 may name the host in its target alone (RFC 9113 section 8.3.1), and only HTTP/1.0 not at all.
fn without_header(target: Option<TargetAuthority<'_>>, request: &mut Request) -> Result<(), Malformed> {
    match (request.version, target) {
        (Version::Http11, _) | (Version::Http2, None) => Err(Malformed::MissingHost),
        (Version::Http10, None) => Ok(()),
        (Version::Http10 | Version::Http2, Some(target)) => {
            let port = append_host(target.text, request)?;
            append_port(port, request);
            Ok(())
        }
    }
}

/// Is this host one that the client's TLS connection was made for? Where it is not, what the client was shown, and what it
/// proved, was meant for another host. The one place that decides it, whatever protocol the request came by.
pub fn directed(request: &Request) -> Result<(), Refusal> {
    match &request.secured {
        Some(secured) if !secured.allows_host(request.host()) => Err(Refusal::Misdirected),
        Some(_) | None => Ok(()),
    }
}

/// The target's authority is brought into the same form behind the text, compared, and taken away again.
fn agree(target: &TargetAuthority<'_>, port: Option<u16>, request: &mut Request) -> Result<(), Malformed> {
    let (length, host, authority) = (request.text.len(), request.host, request.authority);
    let target_port = append_host(target.text, request)?;
    let default = match target.scheme {
        Scheme::Http => 80,
        Scheme::Https => 443,
    };
    let is_same = request.slice(host) == request.slice(request.host)
        && port.unwrap_or(default) == target_port.unwrap_or(default);
    request.text.truncate(length);
    (request.host, request.authority) = (host, authority);
    if is_same { Ok(()) } else { Err(Malformed::HostDisagrees) }
}

fn append_host(text: &[u8], request: &mut Request) -> Result<Option<u16>, Malformed> {
    let (name, port) = split(text).ok_or(Malformed::Host)?;
    let sent = request.append(name);
    append_name(sent.start as usize..sent.end as usize, request)?;
    Ok(port)
}

/// Writes the canonical form of a name that stands in the text.
fn append_name(sent: std::ops::Range<usize>, request: &mut Request) -> Result<(), Malformed> {
    let start = request.text.len();
    let name = request.text.get(sent.clone()).unwrap_or_default();
    if let [b'[', inner @ .., b']'] = name {
        let address = std::str::from_utf8(inner).ok().and_then(|inner| inner.parse::<Ipv6Addr>().ok());
        // Written by the standard library: `[::0001]` and `[::1]` are one host.
        write!(request.text, "[{}]", address.ok_or(Malformed::Host)?).map_err(|_| Malformed::Host)?;
    } else {
        let name = name.strip_suffix(b".").unwrap_or(name);
        if !is_host_name(name) {
            return Err(Malformed::Host);
        }
        let end = sent.start + name.len();
        request.text.extend_from_within(sent.start..end);
        request.text.get_mut(start..).unwrap_or_default().make_ascii_lowercase();
    }
    request.host = Span { start: start as u32, end: request.text.len() as u32 };
    request.authority = request.host;
    Ok(())
}

fn append_port(port: Option<u16>, request: &mut Request) {
    if let Some(port) = port {
        request.text.push(b':');
        request.text.extend_from_slice(itoa::Buffer::new().format(port).as_bytes());
        request.authority.end = request.text.len() as u32;
    }
}

/// Name and port. `None` where the port is not 1 to 65535 in plain digits, or where there is user information.
fn split(text: &[u8]) -> Option<(&[u8], Option<u16>)> {
    let name_end = match text.first() {
        Some(b'[') => text.iter().position(|&byte| byte == b']')? + 1,
        Some(_) | None => text.iter().position(|&byte| byte == b':').unwrap_or(text.len()),
    };
    let (name, rest) = text.split_at_checked(name_end)?;
    match rest {
        [] => Some((name, None)),
        [b':', digits @ ..] => parse_port(digits).map(|port| (name, Some(port))),
        _ => None,
    }
}

fn parse_port(digits: &[u8]) -> Option<u16> {
    if !matches!(digits, [b'1'..=b'9', ..]) || digits.len() > 5 {
        return None;
    }
    let port = digits
        .iter()
        .try_fold(0_u32, |sum, byte| byte.is_ascii_digit().then(|| sum * 10 + u32::from(byte - b'0')))?;
    u16::try_from(port).ok()
}

fn is_host_name(name: &[u8]) -> bool {
    let mut label = 0_usize;
    for &byte in name {
        match byte {
            b'.' if label == 0 => return false,
            b'.' => label = 0,
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' if label < MAX_LABEL_BYTES => label += 1,
            _ => return false,
        }
    }
    label > 0 && name.len() <= MAX_HOST_BYTES
}
