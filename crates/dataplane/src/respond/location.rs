//! Where a redirect leads: text with words in braces that stand for parts of the request.
//!
//! What a client sends can neither end a line, since a request is canonical, nor name another host: whatever it puts in
//! stands behind the path's first slash, and in a query it is a value.

use regex::bytes::Regex;

use crate::query;
use crate::request::Request;

/// What the path of a route binds to names.
#[derive(Debug, Default)]
pub struct Bound {
    /// Names with the number of their segment.
    pub segments: Vec<(String, usize)>,
    /// Segments in front of what `*` stands for.
    pub above: Option<usize>,
    /// The path itself, where it is an expression: its groups have names.
    pub expression: Option<Regex>,
    /// Parameters of the query that carry credentials: another host has no business with them.
    pub withheld: Box<[Box<str>]>,
}

/// Compiled once; nothing is looked up by name when a request is answered.
#[derive(Debug)]
pub struct Location {
    parts: Vec<Part>,
    expression: Option<Regex>,
    withheld: Box<[Box<str>]>,
    /// It begins with a path, and must never come to begin with a host.
    is_local: bool,
}

#[derive(Debug)]
enum Part {
    Text(Box<str>),
    /// `in_query`: behind a `?`, where it must stay a part of a value.
    Word {
        word: Word,
        in_query: bool,
    },
}

#[derive(Debug, PartialEq, Eq)]
enum Word {
    Path,
    /// With what joins it to the text before, where there is one.
    Query,
    /// Without its port.
    Host,
    Segment(usize),
    /// All behind so many segments.
    Below(usize),
    Group(Box<str>),
}

impl Location {
    /// Refuses a word that stands for nothing.
    pub fn compile(text: &str, bound: &Bound) -> Result<Self, String> {
        let (mut parts, mut in_query) = (Vec::new(), false);
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let Some((name, behind)) = after.split_once('}') else { break };
            let word = bound.word(name).ok_or_else(|| format!("`{{{name}}}` stands for nothing here"))?;
            in_query |= before.contains('?');
            let is_query = word == Word::Query;
            parts.extend([Part::Text(before.into()), Part::Word { word, in_query }]);
            in_query |= is_query;
            rest = behind;
        }
        parts.push(Part::Text(rest.into()));
        let (expression, withheld) = (bound.expression.clone(), bound.withheld.clone());
        Ok(Self { parts, expression, withheld, is_local: text.starts_with(['/', '{']) })
    }

    /// One that has no words, whatever is in it.
    pub fn exactly(text: &str) -> Self {
        let parts = vec![Part::Text(text.into())];
        Self { parts, expression: None, withheld: Box::default(), is_local: false }
    }

    /// To the same path with a slash behind it.
    pub fn directory() -> Self {
        let word = |word| Part::Word { word, in_query: false };
        let parts = vec![word(Word::Path), Part::Text("/".into()), word(Word::Query)];
        Self { parts, expression: None, withheld: Box::default(), is_local: true }
    }

    pub fn needs_host(&self) -> bool {
        self.parts.iter().any(|part| matches!(part, Part::Word { word: Word::Host, .. }))
    }

    pub fn of(&self, request: &Request) -> Vec<u8> {
        let mut out = Vec::with_capacity(128);
        for part in &self.parts {
            match part {
                Part::Text(text) => out.extend_from_slice(text.as_bytes()),
                Part::Word { word: Word::Query, in_query } => self.put_query(request, *in_query, &mut out),
                Part::Word { word, in_query } => put(self.value(word, request), *in_query, &mut out),
            }
        }
        // Two slashes in front would make a host of the first segment.
        let slashes = out.iter().take_while(|&&byte| byte == b'/').count();
        if self.is_local && slashes > 1 {
            out.drain(1..slashes);
        }
        out
    }

    fn put_query(&self, request: &Request, in_query: bool, out: &mut Vec<u8>) {
        let sent = request.query.map(|query| request.slice(query));
        if let Some(query) = sent.and_then(|query| query::without(query, &self.withheld)) {
            out.push(if in_query { b'&' } else { b'?' });
            out.extend_from_slice(&query);
        }
    }

    fn value<'r>(&self, word: &Word, request: &'r Request) -> &'r [u8] {
        let path = request.slice(request.path);
        match word {
            Word::Path => path,
            Word::Query => &[],
            Word::Host => request.slice(request.host),
            Word::Segment(number) => path.split(|&byte| byte == b'/').nth(number + 1).unwrap_or_default(),
            Word::Below(above) => {
                path.splitn(above + 2, |&byte| byte == b'/').nth(above + 1).unwrap_or_default()
            }
            Word::Group(name) => {
                let found = self.expression.as_ref().and_then(|expression| expression.captures(path));
                found.and_then(|groups| groups.name(name)).map_or(&[], |group| group.as_bytes())
            }
        }
    }
}

impl Bound {
    fn word(&self, name: &str) -> Option<Word> {
        let group = || {
            let mut names = self.expression.iter().flat_map(Regex::capture_names).flatten();
            names.find(|group| *group == name).map(|group| Word::Group(group.into()))
        };
        // Its own names go first: a route that binds `{path}` means that one.
        let segment = self.segments.iter().find(|(own, _)| own == name);
        segment.map(|(_, number)| Word::Segment(*number)).or_else(group).or_else(|| match name {
            "path" => Some(Word::Path),
            "query" => Some(Word::Query),
            "host" => Some(Word::Host),
            "*" => self.above.map(Word::Below),
            _ => None,
        })
    }
}

/// In a query everything is escaped that could end the value or begin another.
fn put(value: &[u8], in_query: bool, out: &mut Vec<u8>) {
    if !in_query {
        out.extend_from_slice(value);
        return;
    }
    for &byte in value {
        match byte {
            b'&' | b'=' | b'+' | b';' | b'?' | b'#' | b'\'' => {
                out.extend_from_slice(format!("%{byte:02X}").as_bytes());
            }
            other => out.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn to(text: &str, bound: &Bound, path: &str, query: Option<&str>) -> String {
        let mut request = Request::new(std::net::Ipv4Addr::LOCALHOST.into());
        request.path = request.append(path.as_bytes());
        request.host = request.append(b"a.test");
        request.query = query.map(|query| request.append(query.as_bytes()));
        String::from_utf8(Location::compile(text, bound).unwrap().of(&request)).unwrap()
    }

    fn named(segments: &[(&str, usize)], above: Option<usize>) -> Bound {
        let segments = segments.iter().map(|(name, number)| ((*name).to_owned(), *number)).collect();
        Bound { segments, above, ..Bound::default() }
    }

    #[test]
    fn credentials_in_the_query_stay_here() {
        let bound = Bound { withheld: ["t".into()].into(), ..Bound::default() };
        assert_eq!(to("https://x{path}{query}", &bound, "/a", Some("t=secret")), "https://x/a");
        assert_eq!(to("https://x{path}{query}", &bound, "/a", Some("b=1&t=secret")), "https://x/a?b=1");
    }

    #[test]
    fn path_query_and_host_stand_where_the_configuration_puts_them() {
        let none = Bound::default();
        assert_eq!(to("https://x{path}{query}#{path}", &none, "/a/b", None), "https://x/a/b#/a/b");
        assert_eq!(to("/new{path}{query}", &none, "/a/b", Some("c=d")), "/new/a/b?c=d");
        assert_eq!(to("https://{host}:8443{path}", &none, "/a", None), "https://a.test:8443/a");
        assert_eq!(to("/old", &none, "/a", Some("c")), "/old");
    }

    #[test]
    fn names_of_the_path_stand_for_its_segments() {
        let bound = named(&[("user", 1), ("path", 3)], None);
        assert_eq!(to("/u/{user}/{path}", &bound, "/users/7/orders/9", None), "/u/7/9");
        let below = named(&[("v", 0)], Some(2));
        for (path, location) in
            [("/v1/docs/a/b/", "/d/v1/a/b/"), ("/v1/docs", "/d/v1/"), ("/v1/docs/", "/d/v1/")]
        {
            assert_eq!(to("/d/{v}/{*}", &below, path, None), location);
        }
        assert_eq!(to("/d/{*}", &named(&[], Some(0)), "/a/b", None), "/d/a/b");
    }

    #[test]
    fn groups_of_an_expression_have_names_too() {
        let expression = Some(Regex::new(r"\A(?:/(?P<year>[0-9]+)/(?P<rest>.*))\z").unwrap());
        let bound = Bound { expression, ..Bound::default() };
        assert_eq!(to("/archive/{rest}?y={year}", &bound, "/2024/a/b", None), "/archive/a/b?y=2024");
    }

    #[test]
    fn no_request_leads_to_another_host() {
        let bound = named(&[("a", 0), ("b", 1)], Some(1));
        assert_eq!(to("/{*}", &bound, "/a/evil.test", None), "/evil.test");
        assert_eq!(to("{path}", &bound, "/evil.test/x", None), "/evil.test/x");
        let expression = Some(Regex::new(r"\A(?:/go(?P<to>.*))\z").unwrap());
        let bound = Bound { expression, ..Bound::default() };
        assert_eq!(to("/{to}", &bound, "/go/evil.test/x", None), "/evil.test/x");
        assert_eq!(to("{to}", &bound, "/go/evil.test", None), "/evil.test");
    }

    #[test]
    fn in_a_query_a_part_of_the_request_stays_one_value() {
        let bound = named(&[("name", 1)], None);
        let location = to("/find?q={name}&page=1{query}", &bound, "/u/a&b=c+d'%26;e", Some("z=1"));
        assert_eq!(location, "/find?q=a%26b%3Dc%2Bd%27%26%3Be&page=1&z=1");
        assert_eq!(to("/x{query}&from={path}", &bound, "/u/a&b", Some("c=d")), "/x?c=d&from=/u/a%26b");
    }

    #[test]
    fn a_word_that_stands_for_nothing_is_refused() {
        for text in ["/{name}", "/{*}", "/{}", "/{ path}"] {
            assert!(Location::compile(text, &Bound::default()).is_err(), "{text}");
        }
        assert_eq!(to("/a{b", &Bound::default(), "/", None), "/a{b");
    }

    #[test]
    fn a_location_without_words_is_taken_as_it_is() {
        let request = Request::new(std::net::Ipv4Addr::LOCALHOST.into());
        assert_eq!(Location::exactly("https://a/{path}").of(&request), b"https://a/{path}");
    }
}
