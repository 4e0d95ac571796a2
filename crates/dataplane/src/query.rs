//! The query of a request, read as services read it: pairs between `&`, escapes undone once.

use std::borrow::Cow;

/// The `name=value` pairs of a query, still encoded. A pair without `=` has an empty value.
pub fn pairs(query: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    query.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()).map(halves)
}

fn halves(pair: &[u8]) -> (&[u8], &[u8]) {
    let mut halves = pair.splitn(2, |byte| *byte == b'=');
    (halves.next().unwrap_or_default(), halves.next().unwrap_or_default())
}

/// Do these encoded bytes stand for this text?
pub fn is_text(encoded: &[u8], text: &[u8]) -> bool {
    Decoded::new(encoded).eq(text.iter().copied())
}

/// The query without the parameters of these names, however they are spelt; `None` where nothing is left.
pub fn without<'q>(query: &'q [u8], names: &[Box<str>]) -> Option<Cow<'q, [u8]>> {
    let is_withheld = |pair: &[u8]| {
        let (name, _) = halves(pair);
        names.iter().any(|withheld| is_text(name, withheld.as_bytes()))
    };
    if !query.split(|byte| *byte == b'&').any(is_withheld) {
        return Some(Cow::Borrowed(query));
    }
    let kept: Vec<&[u8]> = query.split(|byte| *byte == b'&').filter(|pair| !is_withheld(pair)).collect();
    (!kept.is_empty()).then(|| Cow::Owned(kept.join(&b'&')))
}

/// Decodes `%XX` once and `+` as a space, byte by byte, so that comparing needs no buffer.
pub struct Decoded<'a> {
    rest: &'a [u8],
}

impl<'a> Decoded<'a> {
    pub fn new(encoded: &'a [u8]) -> Self {
        Self { rest: encoded }
    }
}

impl Iterator for Decoded<'_> {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        if let [b'%', high, low, rest @ ..] = self.rest
            && let (Some(high), Some(low)) = (hex(*high), hex(*low))
        {
            self.rest = rest;
            return Some(high << 4 | low);
        }
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(if *first == b'+' { b' ' } else { *first })
    }
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn withheld_parameters_are_left_out_in_every_spelling() {
        let names = ["access_token".into(), "t".into()];
        for (query, left) in [
            ("", Some("")),
            ("a=1&b=2", Some("a=1&b=2")),
            ("access_token=x", None),
            ("a=1&access_token=x&b=2", Some("a=1&b=2")),
            ("access_token=x&a=1&t=y&access_token=z", Some("a=1")),
            ("access%5Ftoken=x&%74&a", Some("a")),
            ("access_token", None),
            ("Access_token=x&access_tokens=y&&tt", Some("Access_token=x&access_tokens=y&&tt")),
        ] {
            let found = without(query.as_bytes(), &names);
            assert_eq!(found.as_deref(), left.map(str::as_bytes), "{query}");
        }
    }
}
