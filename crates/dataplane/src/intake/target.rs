//! The request target: origin form, or absolute form with an authority that must agree with Host.

use std::ops::Range;

use memchr::memchr;

use crate::intake::path::canonical_path;
use crate::refusal::Malformed;
use crate::request::{Request, Scheme, Span};
use crate::snapshot::document::PathParameters;

/// The authority of an absolute target, for `host` to compare. It is not kept in the request.
pub(super) struct TargetAuthority<'t> {
    pub(super) text: &'t [u8],
    pub(super) scheme: Scheme,
}

/// Sets path and query. Refuses rootless targets, `*`, other schemes and fragments.
pub(super) fn read<'t>(
    target: &'t [u8],
    parameters: PathParameters,
    request: &mut Request,
) -> Result<Option<TargetAuthority<'t>>, Malformed> {
    if target.first() == Some(&b'/') {
        return set_path_and_query(target, parameters, request).map(|()| None);
    }
    let (scheme, rest) = split_scheme(target).ok_or(Malformed::Target)?;
    let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?' | b'#')).unwrap_or(rest.len());
    let (text, rest) = rest.split_at_checked(end).ok_or(Malformed::Target)?;
    if rest.first() == Some(&b'/') {
        set_path_and_query(rest, parameters, request)?;
    } else {
        // `http://host?query` has the path `/` (RFC 9112 section 3.2.1).
        request.path = request.append(b"/");
        set_query(rest, request)?;
    }
    Ok(Some(TargetAuthority { text, scheme }))
}

fn split_scheme(target: &[u8]) -> Option<(Scheme, &[u8])> {
    for (prefix, scheme) in [(&b"http://"[..], Scheme::Http), (b"https://", Scheme::Https)] {
        if let Some((start, rest)) = target.split_at_checked(prefix.len())
            && start.eq_ignore_ascii_case(prefix)
        {
            return Some((scheme, rest));
        }
    }
    None
}

fn set_path_and_query(
    target: &[u8],
    parameters: PathParameters,
    request: &mut Request,
) -> Result<(), Malformed> {
    let end = memchr(b'?', target).unwrap_or(target.len());
    let (path, query) = target.split_at_checked(end).ok_or(Malformed::Target)?;
    let start = request.text.len();
    canonical_path(path, parameters, &mut request.text)?;
    request.path = span(start..request.text.len());
    set_query(query, request)
}

/// Takes what follows the path: nothing, or `?` and the query, which is kept as sent.
fn set_query(rest: &[u8], request: &mut Request) -> Result<(), Malformed> {
    let Some((&first, query)) = rest.split_first() else { return Ok(()) };
    if first == b'#' || query.contains(&b'#') {
        return Err(Malformed::Fragment);
    }
    if !query.iter().all(|byte| matches!(byte, 0x21..=0x7e)) {
        return Err(Malformed::Query);
    }
    request.query = Some(request.append(query));
    Ok(())
}

fn span(range: Range<usize>) -> Span {
    Span { start: range.start as u32, end: range.end as u32 }
}
