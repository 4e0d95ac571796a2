//! What carries credentials to the gateway and does not go on to a service.

use std::borrow::Cow;

use super::head::HeadSink;
use crate::query;
use crate::request::{Header, Request};

/// By the names of headers, cookies and parameters of the query, of whatever identity.
#[derive(Debug, Default)]
pub struct Withheld {
    /// Lower case.
    pub headers: Box<[Box<[u8]>]>,
    pub cookies: Box<[Box<str>]>,
    pub parameters: Box<[Box<str>]>,
}

impl Withheld {
    pub(super) fn has_header(&self, name: &[u8]) -> bool {
        self.headers.iter().any(|withheld| **withheld == *name)
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
    }
}

fn cookies(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b';').map(<[u8]>::trim_ascii)
}
