//! The order in which routes win, as one comparable value: the least wins.
//!
//! 1. `precedence`, higher first.
//! 2. host: exact, then wildcard (longer suffix first), then any.
//! 3. path: exact, then pattern, then prefix (more segments first), then regex. Among patterns, and among prefixes of
//!    equal depth: more literal segments first, then the one whose leftmost difference is literal.
//! 4. methods listed before any method.
//! 5. more header and query matchers before fewer.
//! 6. order in the file.

use std::cmp::Reverse;

use super::path::{Path, Segment};

/// Whom a route is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Host {
    Exact(Box<str>),
    /// `*.example.com` without the `*.`: one or more labels in front of it, never itself.
    Wildcard(Box<str>),
    Any,
}

impl Host {
    /// Refuses ports, because hosts are matched without, and wildcards anywhere but as the whole first label.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let lower = text.to_ascii_lowercase();
        let host = lower.strip_suffix('.').unwrap_or(&lower);
        let name = host.strip_prefix("*.").unwrap_or(host);
        if name.is_empty() || name.contains(['*', '/', ' ', '@', '%']) || name.starts_with('.') {
            return Err(format!("host `{text}` is neither a name nor `*.name`"));
        }
        if name.contains(':') && !(name.starts_with('[') && name.ends_with(']')) {
            return Err(format!("host `{text}` has a port; hosts are matched without"));
        }
        Ok(if name.len() == host.len() { Self::Exact(name.into()) } else { Self::Wildcard(name.into()) })
    }
}

/// Where a route stands for one of its hosts. The order of the fields is the order of the rules above.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Standing {
    precedence: Reverse<i32>,
    host: (u8, Reverse<usize>),
    path: PathStanding,
    any_method: bool,
    matchers: Reverse<usize>,
    /// Place in the file.
    order: u32,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct PathStanding {
    kind: u8,
    depth: Reverse<usize>,
    literals: Reverse<usize>,
    /// `false` for a literal segment: it sorts before a name.
    shape: Vec<bool>,
}

/// What the order needs to know of a route beside its host and path.
pub(super) struct Weight {
    pub(super) precedence: i32,
    pub(super) any_method: bool,
    pub(super) matchers: usize,
    pub(super) order: u32,
}

impl Standing {
    pub(super) fn new(host: &Host, path: &Path, weight: &Weight) -> Self {
        let host = match host {
            Host::Exact(_) => (0, Reverse(0)),
            Host::Wildcard(suffix) => (1, Reverse(suffix.len())),
            Host::Any => (2, Reverse(0)),
        };
        Self {
            precedence: Reverse(weight.precedence),
            host,
            path: PathStanding::new(path),
            any_method: weight.any_method,
            matchers: Reverse(weight.matchers),
            order: weight.order,
        }
    }
}

impl PathStanding {
    fn new(path: &Path) -> Self {
        match path {
            Path::Exact(_) => Self::of_segments(0, 0, &[]),
            // Patterns that match one path have equal depth, so depth says nothing among them.
            Path::Pattern(list) => Self::of_segments(1, 0, list),
            Path::Prefix(list) => Self::of_segments(2, list.len(), list),
            Path::Regex(_) => Self::of_segments(3, 0, &[]),
        }
    }

    fn of_segments(kind: u8, depth: usize, list: &[Segment]) -> Self {
        let shape: Vec<bool> = list.iter().map(|segment| matches!(segment, Segment::Name(_))).collect();
        let literals = shape.iter().filter(|is_name| !**is_name).count();
        Self { kind, depth: Reverse(depth), literals: Reverse(literals), shape }
    }
}
