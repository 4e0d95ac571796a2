//! Matchers of header values and query parameters.

use regex::bytes::Regex;

use super::regexes::whole;
use crate::query::{Decoded, is_text, pairs};
use crate::request::Request;
use crate::snapshot::document::{MatchDocument, ValueMatchDocument, ValueTestDocument};

#[derive(Debug)]
enum Test {
    Present,
    Absent,
    Exact(Box<[u8]>),
    Regex(Regex),
}

#[derive(Debug)]
struct ValueMatch {
    name: Box<[u8]>,
    test: Test,
}

/// Everything a route demands of headers and query; all of it must hold.
///
/// A name that occurs several times satisfies `Exact` and `Regex` when any of its values does, in whatever order they
/// were sent. A header value is one value: it is not split at commas.
#[derive(Debug, Default)]
pub(super) struct ValueMatches {
    headers: Box<[ValueMatch]>,
    query: Box<[ValueMatch]>,
}

impl ValueMatches {
    pub(super) fn compile(document: &MatchDocument) -> Result<Self, String> {
        let header = |matcher| ValueMatch::compile(matcher, "header");
        let query = |matcher| ValueMatch::compile(matcher, "query parameter");
        let mut headers = document.headers.iter().map(header).collect::<Result<Box<[_]>, String>>()?;
        for matcher in &mut headers {
            matcher.name.make_ascii_lowercase();
        }
        Ok(Self { headers, query: document.query.iter().map(query).collect::<Result<_, String>>()? })
    }

    pub(super) fn len(&self) -> usize {
        self.headers.len() + self.query.len()
    }

    pub(super) fn fit(&self, request: &Request) -> bool {
        self.headers.iter().all(|matcher| matcher.fits_header(request))
            && self.query.iter().all(|matcher| matcher.fits_query(query_of(request)))
    }
}

impl ValueMatch {
    fn compile(document: &ValueMatchDocument, what: &str) -> Result<Self, String> {
        let name = &document.name;
        if name.is_empty() {
            return Err(format!("a {what} to match has no name"));
        }
        let test = match &document.test {
            ValueTestDocument::Present => Test::Present,
            ValueTestDocument::Absent => Test::Absent,
            ValueTestDocument::Exact(value) => Test::Exact(value.as_bytes().into()),
            ValueTestDocument::Regex(text) => {
                Test::Regex(whole(text).map_err(|error| format!("{what} `{name}`: {error}"))?)
            }
        };
        Ok(Self { name: name.as_bytes().into(), test })
    }

    fn fits_header(&self, request: &Request) -> bool {
        let mut values = request.values(&self.name);
        match &self.test {
            Test::Present => values.next().is_some(),
            Test::Absent => values.next().is_none(),
            Test::Exact(expected) => values.any(|value| value == expected.as_ref()),
            Test::Regex(regex) => values.any(|value| regex.is_match(value)),
        }
    }

    fn fits_query(&self, query: &[u8]) -> bool {
        let mut values = pairs(query).filter(|(name, _)| is_text(name, &self.name)).map(|(_, value)| value);
        match &self.test {
            Test::Present => values.next().is_some(),
            Test::Absent => values.next().is_none(),
            Test::Exact(expected) => values.any(|value| is_text(value, expected)),
            Test::Regex(regex) => {
                values.any(|value| regex.is_match(&Decoded::new(value).collect::<Vec<u8>>()))
            }
        }
    }
}

fn query_of(request: &Request) -> &[u8] {
    request.query.map_or(&[], |span| request.slice(span))
}
