//! What expressions read of a request and its caller. Nothing is prepared: each is looked up where an expression uses it.

use std::borrow::Cow;
use std::sync::Arc;

use super::node::Variable;
use super::value::Value;
use crate::authorize::Asked;
use crate::caller::Caller;
use crate::refusal::RuleFault;
use crate::request::{Header, Known, Request, Scheme, Version};

/// A request and its caller, and the names of the identities that the caller's is one of.
#[derive(Clone, Copy)]
pub(super) struct Facts<'r> {
    pub(super) asked: Asked<'r>,
    pub(super) caller: &'r Caller,
    pub(super) identities: &'r [Arc<str>],
}

impl<'r> Facts<'r> {
    pub(super) fn value(&self, variable: Variable) -> Value<'r> {
        let (caller, request) = (self.caller, self.asked.request);
        match variable {
            Variable::Kind => Value::Text(caller.kind.text()),
            Variable::Identity => {
                let name = caller.identity.and_then(|index| self.identities.get(index as usize));
                Value::optional(name.map(|name| &**name))
            }
            Variable::User => Value::optional(caller.user.as_deref()),
            Variable::Partner => Value::optional(caller.partner.as_deref()),
            Variable::KeyId => Value::optional(caller.key_id.as_deref()),
            Variable::Tier => Value::optional(caller.tier.as_deref()),
            Variable::Scopes => Value::Names(&caller.scopes),
            Variable::Roles => Value::Names(caller.roles.as_ref().map_or(&[], |roles| &roles.list)),
            Variable::Claims => {
                caller.claims.as_ref().map_or(Value::Null, |claims| Value::Object(claims.members()))
            }
            Variable::Method => Value::Text(request.method()),
            Variable::Path => Value::Text(request.path()),
            Variable::Host => Value::Text(request.host()),
            Variable::Scheme => Value::Text(scheme(request.scheme)),
            Variable::Protocol => Value::Text(protocol(request.version)),
            Variable::ClientIp => Value::Address(request.client),
            Variable::Time => Value::Int((self.asked.unix_ms / 1000).try_into().unwrap_or(i64::MAX)),
            Variable::Tenant => Value::optional(self.asked.tenant),
            Variable::Headers => Value::Headers,
            Variable::Query => Value::Query,
            Variable::Parameter(place) => {
                let span = self.asked.parameters.get(place);
                Value::optional(span.map(|span| request.str(*span)))
            }
        }
    }

    pub(super) fn is_known(&self, variable: Variable) -> bool {
        !matches!(self.value(variable), Value::Null)
    }
}

fn scheme(scheme: Scheme) -> &'static str {
    match scheme {
        Scheme::Http => "http",
        Scheme::Https => "https",
    }
}

/// As records write it.
fn protocol(version: Version) -> &'static str {
    match version {
        Version::Http10 => "HTTP/1.0",
        Version::Http11 => "HTTP/1.1",
        Version::Http2 => "HTTP/2",
    }
}

/// The headers that a service may come to see. Those by which a client would say who it is never reach one, and no rule
/// believes them either.
pub(super) fn headers(request: &Request) -> impl Iterator<Item = &Header> {
    let is_ours = |known: Known| matches!(known, Known::ClientSentIdentity | Known::NamedInConnection);
    request.headers.iter().filter(move |header| !is_ours(header.known))
}

/// The value of a header; values of several of the same name joined by a comma, which RFC 9110 makes the same (section 5.3).
pub(super) fn header<'r>(request: &'r Request, name: &str) -> Result<Option<Value<'r>>, RuleFault> {
    let is_it = |header: &&Header| request.slice(header.name).eq_ignore_ascii_case(name.as_bytes());
    let mut values = headers(request).filter(is_it).map(|header| request.slice(header.value));
    let Some(first) = values.next() else { return Ok(None) };
    let first = std::str::from_utf8(first).map_err(|_| RuleFault::NotText)?;
    let Some(second) = values.next() else { return Ok(Some(Value::Text(first))) };
    let mut joined = first.to_owned();
    for value in std::iter::once(second).chain(values) {
        joined.push_str(", ");
        joined.push_str(std::str::from_utf8(value).map_err(|_| RuleFault::NotText)?);
    }
    Ok(Some(Value::made(&joined)))
}

/// Names and values of a query, still encoded. A name without `=` has an empty value.
pub(super) fn parameters(request: &Request) -> impl Iterator<Item = (&[u8], &[u8])> {
    let query = request.query.map_or(&[][..], |query| request.slice(query));
    query.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()).map(|pair| {
        let mut halves = pair.splitn(2, |byte| *byte == b'=');
        (halves.next().unwrap_or_default(), halves.next().unwrap_or_default())
    })
}

/// The value of a query parameter. One that was sent twice has none: the service might read the other.
pub(super) fn parameter<'r>(request: &'r Request, name: &str) -> Result<Option<Value<'r>>, RuleFault> {
    let mut values = parameters(request).filter(|(own, _)| *decoded(own) == *name.as_bytes());
    let Some((_, value)) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(RuleFault::Repeated);
    }
    text(value).map(Some)
}

/// What an encoded name or value says.
pub(super) fn text(encoded: &[u8]) -> Result<Value<'_>, RuleFault> {
    match decoded(encoded) {
        Cow::Borrowed(bytes) => std::str::from_utf8(bytes).map(Value::Text),
        Cow::Owned(bytes) => {
            return String::from_utf8(bytes).map(|text| Value::made(&text)).map_err(|_| RuleFault::NotText);
        }
    }
    .map_err(|_| RuleFault::NotText)
}

/// `%XX` decoded once, and `+` as a space, as matchers of routes read it.
fn decoded(encoded: &[u8]) -> Cow<'_, [u8]> {
    if !encoded.iter().any(|byte| matches!(byte, b'%' | b'+')) {
        return Cow::Borrowed(encoded);
    }
    let mut out = Vec::with_capacity(encoded.len());
    let mut rest = encoded;
    while let Some((first, behind)) = rest.split_first() {
        if let [b'%', high, low, behind @ ..] = rest
            && let (Some(high), Some(low)) = (hex(*high), hex(*low))
        {
            out.push(high << 4 | low);
            rest = behind;
            continue;
        }
        out.push(if *first == b'+' { b' ' } else { *first });
        rest = behind;
    }
    Cow::Owned(out)
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}
