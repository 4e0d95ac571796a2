//! Where it says whose a request is.

use std::borrow::Cow;

use serde_json::Value;

use crate::caller::Caller;
use crate::request::Request;
use crate::snapshot::document::TenantSourceDocument;

/// Of a name.
const LONGEST: usize = 64;

/// The first two are proved by a credential, the others are what the client says of itself.
#[derive(Debug)]
pub(super) enum Source {
    /// A claim of the token, by its path.
    Claim(Box<str>),
    /// Whose API key it is.
    Partner,
    /// Lower case.
    Header(Box<str>),
    /// What the host has between these two.
    Host { before: Box<str>, after: Box<str> },
    /// The segment of the path behind this.
    Path(Box<str>),
}

impl Source {
    pub(super) fn compile(document: &TenantSourceDocument) -> Result<Self, String> {
        match document {
            TenantSourceDocument::Claim(path) if !path.is_empty() => Ok(Self::Claim(path.as_str().into())),
            TenantSourceDocument::Partner => Ok(Self::Partner),
            TenantSourceDocument::Header(name) if !name.is_empty() => Ok(Self::Header(name.as_str().into())),
            TenantSourceDocument::Host { before, after } if !(before.is_empty() && after.is_empty()) => {
                Ok(Self::Host { before: before.as_str().into(), after: after.as_str().into() })
            }
            TenantSourceDocument::Path(before) if before.starts_with('/') && before.ends_with('/') => {
                Ok(Self::Path(before.as_str().into()))
            }
            TenantSourceDocument::Claim(_)
            | TenantSourceDocument::Header(_)
            | TenantSourceDocument::Host { .. }
            | TenantSourceDocument::Path(_) => Err(format!("{document:?} says nothing")),
        }
    }

    /// The word for it in records.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Claim(_) => "claim",
            Self::Partner => "partner",
            Self::Header(_) => "header",
            Self::Host { .. } => "host",
            Self::Path(_) => "path",
        }
    }

    /// What it says, be that a name or not; `None` where it says nothing.
    pub(super) fn read<'a>(&'a self, caller: &'a Caller, request: &'a Request) -> Option<Cow<'a, [u8]>> {
        match self {
            Self::Claim(path) => caller.claims.as_ref()?.find(path).map(text),
            Self::Partner => caller.partner.as_deref().map(|name| Cow::Borrowed(name.as_bytes())),
            Self::Header(name) => header(name, request),
            Self::Host { before, after } => {
                let rest = request.host().strip_prefix(&**before)?;
                let label = rest.strip_suffix(&**after)?;
                // One label: `a.b.example.com` is none of `{tenant}.example.com`.
                (!label.is_empty() && !label.contains('.')).then_some(Cow::Borrowed(label.as_bytes()))
            }
            Self::Path(before) => {
                let segment = request.path().strip_prefix(&**before)?.split('/').next()?;
                (!segment.is_empty()).then_some(Cow::Borrowed(segment.as_bytes()))
            }
        }
    }
}

/// Values that differ are joined as HTTP joins them, which is no name.
fn header<'a>(name: &'a str, request: &'a Request) -> Option<Cow<'a, [u8]>> {
    let mut values = request.values(name.as_bytes());
    let first = values.next()?;
    let mut said = Cow::Borrowed(first);
    for other in values.filter(|other| *other != first) {
        said.to_mut().extend_from_slice(b", ");
        said.to_mut().extend_from_slice(other);
    }
    Some(said)
}

/// A list or an object is no name, and stays none as text.
fn text(claim: &Value) -> Cow<'_, [u8]> {
    match claim {
        Value::String(text) => Cow::Borrowed(text.as_bytes()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            Cow::Owned(claim.to_string().into_bytes())
        }
    }
}

/// Letters, digits, `.`, `_` and `-`, at most 64 of them: what is safe in a header, a label, a log, and part of a subject.
pub(super) fn is_name(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    (1..=LONGEST).contains(&text.len()) && text.bytes().all(fits)
}
