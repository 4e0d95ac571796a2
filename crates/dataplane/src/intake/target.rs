//! The request target: origin form, or absolute form with an authority that must agree with Host.

use memchr::memchr;

use crate::intake::path::{append_canonical, canonical_length};
use crate::refusal::Malformed;
use crate::request::{Request, Scheme, Span};
use crate::snapshot::document::PathParameters;

/// A target as sent, and where it stands in the text of the request: what is canonical already is not copied again.
#[derive(Clone, Copy)]
pub(super) struct Target<'t> {
    pub(super) text: &'t [u8],
    pub(super) start: usize,
}

impl<'t> Target<'t> {
    fn split_at(self, place: usize) -> Option<(Self, Self)> {
        let (text, rest) = self.text.split_at_checked(place)?;
        Some((Self { text, ..self }, Self { text: rest, start: self.start + place }))
    }

    fn span(self) -> Span {
        Span { start: self.start as u32, end: (self.start + self.text.len()) as u32 }
    }
}

/// The authority of an absolute target, for `host` to compare. It is not kept in the request.
pub(super) struct TargetAuthority<'t> {
    pub(super) text: &'t [u8],
    pub(super) scheme: Scheme,
}

/// Sets path and query. Refuses rootless targets, `*`, other schemes and fragments.
pub(super) fn read<'t>(
    target: Target<'t>,
    parameters: PathParameters,
    request: &mut Request,
) -> Result<Option<TargetAuthority<'t>>, Malformed> {
    if target.text.first() == Some(&b'/') {
        return set_path_and_query(target, parameters, request).map(|()| None);
    }
    let (scheme, rest) = split_scheme(target).ok_or(Malformed::Target)?;
    let end = rest.text.iter().position(|byte| matches!(byte, b'/' | b'?' | b'#'));
    let (authority, rest) = rest.split_at(end.unwrap_or(rest.text.len())).ok_or(Malformed::Target)?;
    if rest.text.first() == Some(&b'/') {
        set_path_and_query(rest, parameters, request)?;
    } else {
        // `http://host?query` has the path `/` (RFC 9112 section 3.2.1).
        request.path = request.append(b"/");
        set_query(rest, request)?;
    }
    Ok(Some(TargetAuthority { text: authority.text, scheme }))
}

fn split_scheme(target: Target<'_>) -> Option<(Scheme, Target<'_>)> {
    for (prefix, scheme) in [(&b"http://"[..], Scheme::Http), (b"https://", Scheme::Https)] {
        if let Some((start, rest)) = target.split_at(prefix.len())
            && start.text.eq_ignore_ascii_case(prefix)
        {
            return Some((scheme, rest));
        }
    }
    None
}

fn set_path_and_query(
    target: Target<'_>,
    parameters: PathParameters,
    request: &mut Request,
) -> Result<(), Malformed> {
    let canonical = target.split_at(canonical_length(target.text)).ok_or(Malformed::Target)?;
    if let (path, query) = canonical
        && matches!(query.text, [] | [b'?', ..])
    {
        request.path = path.span();
        return set_query(query, request);
    }
    let end = memchr(b'?', target.text).unwrap_or(target.text.len());
    let (path, query) = target.split_at(end).ok_or(Malformed::Target)?;
    let start = request.text.len() as u32;
    append_canonical(path.text, parameters, &mut request.text)?;
    request.path = Span { start, end: request.text.len() as u32 };
    set_query(query, request)
}

/// Takes what follows the path: nothing, or `?` and the query, which is kept as sent.
fn set_query(rest: Target<'_>, request: &mut Request) -> Result<(), Malformed> {
    let Some((mark, query)) = rest.split_at(1) else { return Ok(()) };
    let is_plain = |byte: &u8| matches!(byte, 0x21..=0x7e) && *byte != b'#';
    if mark.text == b"#" || !query.text.iter().all(is_plain) {
        let has_fragment = rest.text.contains(&b'#');
        return Err(if has_fragment { Malformed::Fragment } else { Malformed::Query });
    }
    request.query = Some(query.span());
    Ok(())
}
