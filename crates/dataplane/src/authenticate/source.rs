//! Where in a request an identity looks for its credential.

use crate::refusal::CredentialFault;
use crate::request::Request;
use crate::snapshot::document::JwtDocument;

/// The scheme of tokens that come with a proof (RFC 9449 section 7.1).
pub(super) const DPOP: &str = "DPoP";

/// Identities that look in the same place share what they find there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// What follows this scheme in `Authorization`. Under another scheme nothing was sent.
    Authorization(&'static str),
    /// The whole value of the header with this lower-case name.
    Header(Box<[u8]>),
    Cookie(Box<str>),
    /// The parameter of this name in the query, as it stands there: a credential with escapes is none.
    Query(Box<str>),
    /// The certificate of the connection, which is no text: the credential is empty.
    Certificate,
}

impl Source {
    /// `Authorization` means the scheme alone; any other header is the credential as it is.
    pub(super) fn header(name: &str, scheme: &'static str) -> Self {
        if name == "authorization" { Self::Authorization(scheme) } else { Self::whole(name) }
    }

    pub(super) fn whole(name: &str) -> Self {
        Self::Header(name.as_bytes().into())
    }

    /// Does whoever sends a credential here say that a proof comes with it?
    pub(super) fn demands_proof(&self) -> bool {
        match self {
            Self::Authorization(scheme) => *scheme == DPOP,
            Self::Header(_) | Self::Cookie(_) | Self::Query(_) | Self::Certificate => false,
        }
    }

    /// `None`: nothing was sent. What was sent twice is a fault, since two components could disagree about which of two
    /// counts.
    pub(super) fn read<'r>(&'r self, request: &'r Request) -> Option<Result<&'r [u8], CredentialFault>> {
        match self {
            Self::Authorization(scheme) => authorization(request, scheme),
            Self::Header(name) => single(request.values(name)),
            Self::Cookie(name) => single(request.cookies(name)),
            Self::Query(name) => single(request.parameters(name)),
            Self::Certificate => request.secured.as_ref()?.client.as_ref().map(|_| Ok(&[][..])),
        }
    }
}

fn single<'r>(mut values: impl Iterator<Item = &'r [u8]>) -> Option<Result<&'r [u8], CredentialFault>> {
    let value = values.next()?;
    Some(if values.next().is_none() { Ok(value) } else { Err(CredentialFault::Repeated) })
}

/// A second `Authorization` counts whatever its scheme: a service that reads the other one would see another caller.
fn authorization<'r>(request: &'r Request, scheme: &str) -> Option<Result<&'r [u8], CredentialFault>> {
    let (mut found, mut sent) = (None, 0);
    for value in request.values(b"authorization") {
        sent += 1;
        found = found.or_else(|| behind(scheme, value));
    }
    found.map(|credential| if sent == 1 { Ok(credential) } else { Err(CredentialFault::Repeated) })
}

/// What follows a scheme and one space (RFC 9110 section 11.4); empty where the scheme stands alone.
fn behind<'v>(scheme: &str, value: &'v [u8]) -> Option<&'v [u8]> {
    let (sent, rest) = value.split_at_checked(scheme.len())?;
    if !sent.eq_ignore_ascii_case(scheme.as_bytes()) {
        return None;
    }
    if rest.is_empty() { Some(rest) } else { rest.strip_prefix(b" ") }
}

/// A header before a cookie: browsers send cookies unasked.
pub(super) fn token_sources(document: &JwtDocument) -> Vec<Source> {
    let proven = document.dpop.as_ref().map(|_| Source::Authorization(DPOP));
    let takes_others = document.dpop.as_ref().is_none_or(|dpop| dpop.optional);
    let header = takes_others.then(|| Source::header(&document.header, "Bearer"));
    let cookie = document.cookie.as_deref().map(|name| Source::Cookie(name.into()));
    let query = document.query.as_deref().map(|name| Source::Query(name.into()));
    [proven, header, cookie, query].into_iter().flatten().collect()
}
