//! What carries credentials to the gateway and does not go on to a service.

use std::borrow::Cow;
use std::sync::Arc;

use super::head::HeadSink;
use crate::http1::request_names::is_spelling;
use crate::http1::trailers::Trailers;
use crate::query;
use crate::request::{Header, Request};

/// By the names of headers, cookies and parameters of the query, of whatever identity.
#[derive(Debug, Default)]
pub struct Withheld {
    /// Lower case.
    pub headers: Box<[Box<[u8]>]>,
    pub cookies: Box<[Box<str>]>,
    /// Cookies of sessions, and with each all whose names go on with a dot.
    pub sessions: Box<[Box<str>]>,
    pub parameters: Box<[Box<str>]>,
    /// `None` where there are none.
    pub claimed: Option<Claimed>,
}

/// Names of headers in which services are told claims and countries. What a client sends under such a name, in whatever spelling, goes on
/// neither in the head nor in trailers.
#[derive(Clone, Debug)]
pub struct Claimed(Arc<[Box<[u8]>]>);

impl Claimed {
    /// Lower case.
    pub fn new(names: &[&str]) -> Option<Self> {
        let names: Arc<[Box<[u8]>]> = names.iter().map(|name| name.as_bytes().into()).collect();
        (!names.is_empty()).then_some(Self(names))
    }

    fn has(&self, name: &[u8]) -> bool {
        self.0.iter().any(|own| is_spelling(name, own))
    }

    pub(super) fn clean(&self, trailers: &Trailers) -> Trailers {
        trailers.without(|name| self.has(name))
    }
}

impl Withheld {
    pub(super) fn has_header(&self, name: &[u8]) -> bool {
        self.headers.iter().any(|withheld| **withheld == *name)
            || self.claimed.as_ref().is_some_and(|claimed| claimed.has(name))
    }

    /// What goes on of the query; `None` where nothing does.
    pub(super) fn query<'r>(&self, request: &'r Request) -> Option<Cow<'r, [u8]>> {
        let sent = request.slice(request.query?);
        if self.parameters.is_empty() {
            Some(Cow::Borrowed(sent))
        } else {
            query::without(sent, &self.parameters)
        }
    }

    pub(super) fn has_cookies(&self) -> bool {
        !self.cookies.is_empty() || !self.sessions.is_empty()
    }

    /// Passes a header of cookies on, less those withheld.
    pub(super) fn pass_cookies<S: HeadSink>(&self, sink: &mut S, request: &Request, header: &Header) {
        let value = request.slice(header.value);
        if !cookies(value).any(|pair| self.has_cookie(pair)) {
            sink.pass(request, header);
            return;
        }
        let mut kept = cookies(value).filter(|pair| !self.has_cookie(pair) && !pair.is_empty());
        let Some(first) = kept.next() else { return };
        sink.begin(b"cookie: ");
        sink.piece(first);
        for pair in kept {
            sink.piece(b"; ");
            sink.piece(pair);
        }
        sink.end();
    }

    fn has_cookie(&self, pair: &[u8]) -> bool {
        let name = pair.split(|byte| *byte == b'=').next().unwrap_or_default().trim_ascii_end();
        self.cookies.iter().any(|withheld| withheld.as_bytes() == name)
            || self.sessions.iter().any(|session| is_of(session, name))
    }
}

/// The session's own cookie, or one beside it.
fn is_of(session: &str, name: &[u8]) -> bool {
    let rest = name.strip_prefix(session.as_bytes());
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(b"."))
}

fn cookies(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b';').map(<[u8]>::trim_ascii)
}
