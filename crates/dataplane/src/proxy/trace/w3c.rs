//! W3C Trace Context: `traceparent` and `tracestate`.

use super::{Heard, LENGTH, Told, id};
use crate::request::{Known, Request};

/// Members of a `tracestate` in all of its lines.
const MOST_MEMBERS: usize = 32;
const LONGEST: usize = 256;

/// A repeated, malformed or all-zero parent is nonsense.
pub(super) fn read(request: &Request) -> Heard {
    let mut parents = request.headers.iter().filter(|header| header.known == Known::Traceparent);
    let Some(parent) = parents.next() else { return Heard::Nothing };
    if parents.next().is_some() {
        return Heard::Nonsense;
    }
    parse(request.slice(parent.value)).map_or(Heard::Nonsense, Heard::Told)
}

fn parse(value: &[u8]) -> Option<Told> {
    let (known, rest) = value.split_at_checked(LENGTH)?;
    let dashes = [2, 35, 52].iter().all(|&at| known.get(at) == Some(&b'-'));
    let (version, flags) = (known.get(..2)?, known.get(53..)?);
    // Later versions may be longer, after a dash; version 00 may not.
    let length = rest.is_empty() || (version != b"00" && rest.first() == Some(&b'-'));
    if !dashes
        || !length
        || version == b"ff"
        || digit(*version.first()?).and(digit(*version.last()?)).is_none()
    {
        return None;
    }
    let flags = (digit(*flags.first()?)? << 4) | digit(*flags.last()?)?;
    let ids = Some((id(known.get(3..35)?)?, id(known.get(36..52)?)?));
    Some(Told { ids, is_sampled: Some(flags & 1 == 1), is_debug: false, is_random: flags & 2 == 2 })
}

fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    }
}

/// There is a `tracestate`, and all of its lines together are as the specification wants them. Otherwise none of it goes on.
pub(super) fn has_state(request: &Request) -> bool {
    let mut keys: Vec<&[u8]> = Vec::new();
    for line in request.headers.iter().filter(|header| header.known == Known::Tracestate) {
        for member in request.slice(line.value).split(|byte| *byte == b',') {
            let member = member.trim_ascii();
            if member.is_empty() {
                continue;
            }
            let Some(key) = key_of(member) else { return false };
            if keys.len() == MOST_MEMBERS || keys.contains(&key) {
                return false;
            }
            keys.push(key);
        }
    }
    !keys.is_empty()
}

fn key_of(member: &[u8]) -> Option<&[u8]> {
    let equals = memchr::memchr(b'=', member)?;
    let (key, value) = (member.get(..equals)?, member.get(equals + 1..)?);
    let is_valued = |byte: &u8| matches!(byte, b' '..=b'~') && !matches!(byte, b',' | b'=');
    let is_value = !value.is_empty() && value.len() <= LONGEST && value.iter().all(is_valued);
    (is_key(key) && is_value).then_some(key)
}

/// `key`, or `tenant@system`.
fn is_key(key: &[u8]) -> bool {
    let is_of = |byte: &u8| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'-' | b'*' | b'/')
    };
    let is_name = |name: &[u8], longest: usize, may_begin_with_digit: bool| {
        let begins = name.first().is_some_and(|first| {
            first.is_ascii_lowercase() || (may_begin_with_digit && first.is_ascii_digit())
        });
        begins && name.len() <= longest && name.iter().all(is_of)
    };
    match memchr::memchr(b'@', key) {
        None => is_name(key, LONGEST, true),
        Some(at) => {
            let (tenant, system) = (key.get(..at).unwrap_or_default(), key.get(at + 1..).unwrap_or_default());
            is_name(tenant, 241, true) && is_name(system, 14, false)
        }
    }
}
