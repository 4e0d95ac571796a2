//! One pattern: what it is written like, and what it matches.

use super::Canonical;
use crate::request::Method;

/// `!GET|PUT /orders/*/items`, `orders:*`, taken apart.
#[derive(Clone, Debug)]
pub(super) struct Pattern {
    /// Written with a `!`: what it matches is forbidden.
    pub(super) denies: bool,
    /// `None`: it is about named permissions.
    pub(super) methods: Option<Methods>,
    pub(super) segments: Box<[Segment]>,
    /// Written with `**` at its end: any number of segments may follow.
    pub(super) is_open: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Segment {
    Literal(Box<str>),
    /// `*`: one, whatever it is.
    Any,
}

/// A method and a path that are asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Target<'a> {
    pub(super) method: Method,
    pub(super) name: &'a str,
    /// Canonical.
    pub(super) path: &'a str,
}

impl Pattern {
    pub(super) fn compile(text: &str, canonical: Canonical) -> Result<Self, String> {
        let wrong = |what: &str| format!("`{text}` is no pattern: {what}");
        let (denies, plain) = text.strip_prefix('!').map_or((false, text), |plain| (true, plain));
        let Some((methods, path)) = plain.split_once(' ') else {
            let (segments, is_open) = segments(plain, ':').map_err(wrong)?;
            return Ok(Self { denies, methods: None, segments, is_open });
        };
        let methods = Methods::compile(methods).map_err(wrong)?;
        let path = canonical(path).map_err(|error| wrong(&error))?;
        let path = path.strip_prefix('/').ok_or_else(|| wrong("a path begins with `/`"))?;
        let (segments, is_open) =
            if path.is_empty() { (Box::default(), false) } else { segments(path, '/').map_err(wrong)? };
        Ok(Self { denies, methods: Some(methods), segments, is_open })
    }

    /// Whether this is about a permission of this name.
    pub(super) fn matches_name(&self, name: &str) -> bool {
        if self.methods.is_some() {
            return false;
        }
        let mut parts = name.split(':');
        let fit = self.segments.iter().all(|segment| parts.next().is_some_and(|part| segment.matches(part)));
        fit && (self.is_open || parts.next().is_none())
    }
}

impl Segment {
    fn matches(&self, part: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Literal(text) => **text == *part,
        }
    }
}

/// Segments, and whether a `**` follows them.
fn segments(text: &str, separator: char) -> Result<(Box<[Segment]>, bool), &'static str> {
    let (text, is_open) = match text.strip_suffix("**") {
        Some("") => return Ok((Box::default(), true)),
        Some(before) => (before.strip_suffix(separator).ok_or("`**` is a segment of its own")?, true),
        None => (text, false),
    };
    let segments = text.split(separator).map(|part| match part {
        "" => Err("it has an empty segment"),
        "*" => Ok(Segment::Any),
        "**" => Err("`**` stands only at the end"),
        part if part.contains('*') => Err("`*` is a segment of its own"),
        part => Ok(Segment::Literal(part.into())),
    });
    Ok((segments.collect::<Result<_, _>>()?, is_open))
}

/// Methods that a pattern is about. `GET` means `HEAD`, too, as it does for routes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Methods {
    is_any: bool,
    bits: u16,
    /// Those that have no bit of their own.
    others: Vec<Box<str>>,
}

impl Methods {
    /// `*`, or methods with `|` between them.
    fn compile(text: &str) -> Result<Self, &'static str> {
        let mut methods = Self { is_any: text == "*", ..Self::default() };
        for name in text.split('|').filter(|_| text != "*") {
            if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'-') {
                return Err("before the path stand methods, such as `GET` or `PUT|PATCH`, or `*`");
            }
            match Method::from_bytes(name.as_bytes()) {
                Method::Other => methods.others.push(name.into()),
                Method::Get => methods.bits |= bit(Method::Get) | bit(Method::Head),
                known @ (Method::Head
                | Method::Post
                | Method::Put
                | Method::Patch
                | Method::Delete
                | Method::Options
                | Method::Trace
                | Method::Connect) => methods.bits |= bit(known),
            }
        }
        Ok(methods)
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.is_any |= other.is_any;
        self.bits |= other.bits;
        self.others.extend(other.others.iter().cloned());
    }

    pub(super) fn have(&self, target: &Target<'_>) -> bool {
        self.is_any
            || self.bits & bit(target.method) != 0
            || (target.method == Method::Other && self.others.iter().any(|name| **name == *target.name))
    }
}

fn bit(method: Method) -> u16 {
    1 << (method as u16)
}
