//! The path of a route, parsed and canonical.

use super::{Canonical, MAX_PARAMETERS};
use crate::snapshot::document::PathMatchDocument;

/// Deeper patterns and prefixes are refused: a look-up recurses once per segment.
const MAX_SEGMENTS: usize = 128;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Segment {
    Literal(Box<str>),
    Name(Box<str>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Path {
    Exact(String),
    Pattern(Vec<Segment>),
    /// Empty for `/`, which matches every path.
    Prefix(Vec<Segment>),
    Regex(String),
}

impl Path {
    pub(super) fn parse(document: &PathMatchDocument, canonical: Canonical) -> Result<Self, String> {
        match document {
            PathMatchDocument::Exact(text) => {
                rooted(text)?;
                canonical(text).map(Self::Exact).map_err(|error| format!("path `{text}`: {error}"))
            }
            PathMatchDocument::Pattern(text) => segments(text, canonical).map(Self::Pattern),
            // A final slash says nothing more: a prefix already ends at a segment boundary.
            PathMatchDocument::Prefix(text) if text.trim_end_matches('/').is_empty() => {
                rooted(text).map(|_| Self::Prefix(Vec::new()))
            }
            PathMatchDocument::Prefix(text) => {
                segments(text.trim_end_matches('/'), canonical).map(Self::Prefix)
            }
            PathMatchDocument::Regex(text) => Ok(Self::Regex(text.clone())),
        }
    }

    /// The names that this path binds, in order.
    pub(super) fn names(&self) -> Vec<Box<str>> {
        let list: &[Segment] = match self {
            Self::Pattern(list) | Self::Prefix(list) => list,
            Self::Exact(_) | Self::Regex(_) => &[],
        };
        let name = |segment: &Segment| match segment {
            Segment::Name(name) => Some(name.clone()),
            Segment::Literal(_) => None,
        };
        list.iter().filter_map(name).collect()
    }
}

fn rooted(text: &str) -> Result<&str, String> {
    text.strip_prefix('/').ok_or_else(|| format!("path `{text}` does not start with `/`"))
}

fn segments(text: &str, canonical: Canonical) -> Result<Vec<Segment>, String> {
    let parts: Vec<&str> = rooted(text)?.split('/').collect();
    if parts.len() > MAX_SEGMENTS {
        return Err(format!("path `{text}` has more than {MAX_SEGMENTS} segments"));
    }
    let mut list = Vec::with_capacity(parts.len());
    for (index, part) in parts.iter().enumerate() {
        let last = index + 1 == parts.len();
        list.push(segment(part, last, canonical).map_err(|error| format!("path `{text}`: {error}"))?);
    }
    distinct_names(text, &list)?;
    Ok(list)
}

fn segment(part: &str, last: bool, canonical: Canonical) -> Result<Segment, String> {
    if let Some(name) = part.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
        return parameter(name);
    }
    if part.contains(['{', '}']) {
        return Err(format!("`{part}`: a name in braces binds one whole segment"));
    }
    if part.is_empty() {
        let empty = Segment::Literal("".into());
        return if last { Ok(empty) } else { Err("an empty segment can never match".to_owned()) };
    }
    let whole = canonical(&format!("/{part}")).map_err(|error| format!("`{part}`: {error}"))?;
    match whole.strip_prefix('/') {
        Some(literal) if !literal.is_empty() && !literal.contains('/') => {
            Ok(Segment::Literal(literal.into()))
        }
        // A dot segment inside a pattern would silently swallow its neighbour.
        Some(_) | None => Err(format!("`{part}` does not stand for one segment")),
    }
}

fn parameter(name: &str) -> Result<Segment, String> {
    let sane = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    if name.is_empty() || !name.bytes().all(sane) {
        return Err(format!("`{{{name}}}`: a name is letters, digits, `_` and `-`"));
    }
    Ok(Segment::Name(name.into()))
}

fn distinct_names(text: &str, list: &[Segment]) -> Result<(), String> {
    let mut seen: Vec<&str> = Vec::new();
    for segment in list {
        let Segment::Name(name) = segment else { continue };
        if seen.contains(&name.as_ref()) {
            return Err(format!("path `{text}` binds `{name}` twice"));
        }
        seen.push(name);
    }
    if seen.len() > MAX_PARAMETERS {
        return Err(format!("path `{text}` binds more than {MAX_PARAMETERS} names"));
    }
    Ok(())
}
