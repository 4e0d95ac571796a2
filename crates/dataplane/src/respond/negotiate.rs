//! What a client would rather have: `Accept` and `Accept-Encoding` (RFC 9110 section 12.5), qualities in thousandths.

use crate::http1::fields::{list, trim};

/// Not acceptable.
pub const NEVER: u16 = 0;
/// As good as it gets.
pub const BEST: u16 = 1000;

/// One element of a list: what is named, and how gladly it is taken. An element whose quality is malformed says nothing.
fn weighted(element: &[u8]) -> Option<(&[u8], u16)> {
    let mut parts = element.split(|&byte| byte == b';');
    let name = trim(parts.next()?);
    let mut quality = BEST;
    for part in parts {
        let part = trim(part);
        if let [b'q' | b'Q', b'=', value @ ..] = part {
            quality = parse_quality(value)?;
            // What follows the quality belongs to an extension that nobody uses.
            break;
        }
    }
    (!name.is_empty()).then_some((name, quality))
}

/// `0`, `0.5`, `1.000`: at most three digits behind the point, and nothing above 1.
fn parse_quality(text: &[u8]) -> Option<u16> {
    let (&whole, rest) = text.split_first()?;
    let digits = match rest {
        [] => &[],
        [b'.', digits @ ..] if digits.len() <= 3 && digits.iter().all(u8::is_ascii_digit) => digits,
        _ => return None,
    };
    let fraction =
        [100, 10, 1].iter().zip(digits).map(|(place, digit)| place * u16::from(digit - b'0')).sum();
    match (whole, fraction) {
        (b'0', fraction) => Some(fraction),
        (b'1', 0) => Some(BEST),
        _ => None,
    }
}

/// How gladly a client takes `kind/subtype`, by the most specific range that names it. Without any range: gladly.
pub fn media_quality<'a>(values: impl Iterator<Item = &'a [u8]>, kind: &str, subtype: &str) -> u16 {
    let mut found = None;
    let mut is_empty = true;
    for (range, quality) in values.flat_map(list).filter_map(weighted) {
        is_empty = false;
        let Some(specificity) = specificity(range, kind, subtype) else { continue };
        found = found.max(Some((specificity, quality)));
    }
    match found {
        Some((_, quality)) => quality,
        None if is_empty => BEST,
        None => NEVER,
    }
}

fn specificity(range: &[u8], kind: &str, subtype: &str) -> Option<u8> {
    let slash = range.iter().position(|&byte| byte == b'/')?;
    let (of_kind, of_subtype) = (range.get(..slash)?, range.get(slash + 1..)?);
    match (of_kind, of_subtype) {
        (b"*", b"*") => Some(0),
        (named, b"*") => named.eq_ignore_ascii_case(kind.as_bytes()).then_some(1),
        (named, sub) => (named.eq_ignore_ascii_case(kind.as_bytes())
            && sub.eq_ignore_ascii_case(subtype.as_bytes()))
        .then_some(2),
    }
}

/// What a client says about codings: by name, about those it does not name, and about none at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Codings<const COUNT: usize> {
    /// In the order of the names asked for.
    pub qualities: [u16; COUNT],
    /// Of the body as it is; `None` where the client does not speak of it, and takes it when nothing else fits.
    pub identity: Option<u16>,
}

impl<const COUNT: usize> Codings<COUNT> {
    /// Reads every `Accept-Encoding` of a request. Without one, no coding is taken.
    pub fn read<'a>(values: impl Iterator<Item = &'a [u8]>, names: [&str; COUNT]) -> Self {
        let (mut named, mut rest, mut identity) = ([None; COUNT], None, None);
        for (name, quality) in values.flat_map(list).filter_map(weighted) {
            let found = names.iter().zip(&mut named).find(|(other, _)| is_coding(name, other));
            let place = match found {
                Some((_, place)) => place,
                None if name == b"*" => &mut rest,
                None if name.eq_ignore_ascii_case(b"identity") => &mut identity,
                None => continue,
            };
            *place = (*place).max(Some(quality));
        }
        let qualities = named.map(|quality| quality.or(rest).unwrap_or(NEVER));
        // `*;q=0` rules out the plain body too, unless it is named (RFC 9110 section 12.5.3).
        Self { qualities, identity: identity.or(rest.filter(|quality| *quality == NEVER)) }
    }

    /// As if the client had ruled this one out.
    pub fn exclude(&mut self, place: usize) {
        if let Some(quality) = self.qualities.get_mut(place) {
            *quality = NEVER;
        }
    }

    /// The place of the coding that the client likes best; of equals the first in `order`. `None`: the plain body.
    pub fn best(&self, order: impl Iterator<Item = usize>) -> Option<usize> {
        let mut best = None;
        for place in order {
            let quality = self.qualities.get(place).copied().unwrap_or(NEVER);
            let is_better = best.is_none_or(|(_, known)| quality > known);
            if quality > NEVER && is_better {
                best = Some((place, quality));
            }
        }
        let (place, quality) = best?;
        (quality >= self.identity.unwrap_or(NEVER)).then_some(place)
    }
}

/// `x-gzip` is an old name of `gzip` (RFC 9110 section 8.4.1.3).
fn is_coding(name: &[u8], coding: &str) -> bool {
    let name = match name {
        [b'x' | b'X', b'-', rest @ ..] if rest.eq_ignore_ascii_case(b"gzip") => rest,
        name => name,
    };
    name.eq_ignore_ascii_case(coding.as_bytes())
}

#[cfg(test)]
#[path = "negotiate_tests.rs"]
mod tests;
