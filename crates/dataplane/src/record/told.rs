//! Texts of peers as far as they are told: without card numbers, and headers without secrets.

use std::borrow::Cow;

use super::cards;
use super::entry::Entry;
use super::escape::{cut, unquoted};
use super::line::TEXT_LIMIT;
use super::policy::Policy;
use super::secrets::redacted;

/// More bytes than a card number has, all of it percent-encoded: one that the cut goes through is still seen.
const BEHIND_CUT: usize = 128;

/// A text that is to be cut, without card numbers where they are masked.
#[inline]
pub(super) fn without_cards<'t>(text: &'t [u8], limit: usize, policy: &Policy) -> Cow<'t, [u8]> {
    if policy.masks_cards() { cards::masked(cut(text, limit + BEHIND_CUT)) } else { Cow::Borrowed(text) }
}

/// The headers that the configuration asks for, each that is there.
pub(super) fn headers(out: &mut Vec<u8>, entry: &Entry<'_>) {
    let (request, common) = (entry.request, entry.policy.common());
    out.extend_from_slice(b",\"request_headers\":{");
    let sent =
        || request.headers.iter().map(|header| (request.slice(header.name), request.slice(header.value)));
    list(out, entry.policy, &common.request_headers, sent);
    out.extend_from_slice(b"},\"response_headers\":{");
    if let Some(response) = entry.response {
        let came = || {
            let headers = response.headers.iter();
            headers.map(|header| (response.slice(header.name), response.slice(header.value)))
        };
        list(out, entry.policy, &common.response_headers, came);
    }
    out.push(b'}');
}

/// In the order of the configuration; a header that is there several times as one, as RFC 9110 section 5.3 joins them.
fn list<'h, I: Iterator<Item = (&'h [u8], &'h [u8])>>(
    out: &mut Vec<u8>,
    policy: &Policy,
    names: &[Box<str>],
    all: impl Fn() -> I,
) {
    let mut is_first = true;
    for name in names {
        let mut values = all().filter(|(own, _)| *own == name.as_bytes()).map(|(_, value)| value).peekable();
        if values.peek().is_none() {
            continue;
        }
        if !std::mem::take(&mut is_first) {
            out.push(b',');
        }
        out.push(b'"');
        unquoted(out, name.as_bytes());
        out.extend_from_slice(b"\":\"");
        let value = values.collect::<Vec<_>>().join(&b", "[..]);
        if policy.common().secrets.has_header(name) {
            redacted(out, name, &value);
        } else {
            unquoted(out, cut(&without_cards(&value, TEXT_LIMIT, policy), TEXT_LIMIT));
        }
        out.push(b'"');
    }
}
