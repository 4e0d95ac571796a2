//! `Signature-Input` and `Signature`: what a client says it has signed, and the signature (RFC 9421 section 4). Both are
//! dictionaries of structured fields (RFC 9651); what is not needed of those is refused.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::refusal::CredentialFault;

/// Bytes of either header.
pub(super) const MAX_HEADER: usize = 4_096;
/// Parts of a request that one signature may cover.
const MAX_COMPONENTS: usize = 32;
/// Signatures of one request, of which one is looked at.
const MAX_SIGNATURES: usize = 8;
/// Bytes of a key's name, and of a nonce.
const MAX_TEXT: usize = 256;

type Read<T> = Result<T, CredentialFault>;

/// What one signature covers, and what it says of itself.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Input<'a> {
    pub(super) label: &'a str,
    /// As sent: the value of `@signature-params`.
    pub(super) text: &'a str,
    pub(super) components: Vec<&'a str>,
    pub(super) parameters: Parameters<'a>,
}

#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Parameters<'a> {
    /// Seconds since the epoch.
    pub(super) created: Option<u64>,
    pub(super) expires: Option<u64>,
    pub(super) nonce: Option<&'a str>,
    pub(super) key: Option<&'a str>,
    pub(super) algorithm: Option<&'a str>,
    tag: Option<&'a str>,
}

impl<'a> Input<'a> {
    /// The signature of this label, or the only one: of several, nobody should have to guess which counts.
    pub(super) fn read(header: &'a [u8], label: Option<&str>) -> Read<Self> {
        let mut reader = Reader::new(header)?;
        let (mut found, mut count) = (None, 0);
        loop {
            let input = reader.input()?;
            count += 1;
            if label.is_none_or(|label| label == input.label) && found.replace(input).is_some() {
                return Err(CredentialFault::Repeated);
            }
            if count > MAX_SIGNATURES {
                return Err(CredentialFault::Malformed);
            }
            if !reader.next_member()? {
                return found.ok_or(CredentialFault::Missing);
            }
        }
    }
}

/// The signature of this label.
pub(super) fn signature(header: &[u8], label: &str) -> Read<Vec<u8>> {
    let mut reader = Reader::new(header)?;
    let mut found = None;
    loop {
        let name = reader.key()?;
        reader.demand(b'=')?;
        let bytes = reader.bytes()?;
        if name == label && found.replace(bytes).is_some() {
            return Err(CredentialFault::Repeated);
        }
        if !reader.next_member()? {
            break;
        }
    }
    let encoded = found.ok_or(CredentialFault::Missing)?;
    STANDARD.decode(encoded).map_err(|_| CredentialFault::Malformed)
}

/// A digest of the body by this algorithm, where `Content-Digest` has one (RFC 9530).
pub fn digest(header: &[u8], algorithm: &str) -> Read<Option<Vec<u8>>> {
    match signature(header, algorithm) {
        Ok(digest) => Ok(Some(digest)),
        Err(CredentialFault::Missing) => Ok(None),
        Err(fault) => Err(fault),
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn new(header: &'a [u8]) -> Read<Self> {
        if header.len() > MAX_HEADER {
            return Err(CredentialFault::TooLong);
        }
        let text = std::str::from_utf8(header).ok().filter(|text| text.is_ascii());
        Ok(Self { text: text.ok_or(CredentialFault::Malformed)?, at: 0 })
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<u8> {
        self.rest().bytes().next()
    }

    fn accept(&mut self, wanted: u8) -> bool {
        let is_there = self.peek() == Some(wanted);
        self.at += usize::from(is_there);
        is_there
    }

    fn demand(&mut self, wanted: u8) -> Read<()> {
        if self.accept(wanted) { Ok(()) } else { Err(CredentialFault::Malformed) }
    }

    /// The longest run of such characters.
    fn run(&mut self, fits: impl Fn(u8) -> bool) -> &'a str {
        let rest = self.rest();
        let length = rest.bytes().position(|byte| !fits(byte)).unwrap_or(rest.len());
        self.at += length;
        rest.get(..length).unwrap_or_default()
    }

    fn key(&mut self) -> Read<&'a str> {
        let first = self.peek().is_some_and(|byte| byte.is_ascii_lowercase() || byte == b'*');
        let fits = |byte: u8| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'-' | b'.' | b'*')
        };
        if first { Ok(self.run(fits)) } else { Err(CredentialFault::Malformed) }
    }

    /// A text without escapes: nothing that is signed or names a key needs one.
    fn string(&mut self) -> Read<&'a str> {
        self.demand(b'"')?;
        let text = self.run(|byte| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\'));
        self.demand(b'"')?;
        if text.len() > MAX_TEXT { Err(CredentialFault::TooLong) } else { Ok(text) }
    }

    fn integer(&mut self) -> Read<u64> {
        let digits = self.run(|byte| byte.is_ascii_digit());
        let number = if digits.len() <= 15 { digits.parse().ok() } else { None };
        number.ok_or(CredentialFault::Malformed)
    }

    fn bytes(&mut self) -> Read<&'a str> {
        self.demand(b':')?;
        let encoded = self.run(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'='));
        self.demand(b':')?;
        Ok(encoded)
    }

    /// Behind a member: is there another one?
    fn next_member(&mut self) -> Read<bool> {
        self.run(|byte| matches!(byte, b' ' | b'\t'));
        if self.rest().is_empty() {
            return Ok(false);
        }
        self.demand(b',')?;
        self.run(|byte| matches!(byte, b' ' | b'\t'));
        Ok(true)
    }

    fn input(&mut self) -> Read<Input<'a>> {
        let label = self.key()?;
        self.demand(b'=')?;
        let start = self.at;
        let components = self.components()?;
        let parameters = self.parameters()?;
        let text = self.text.get(start..self.at).unwrap_or_default();
        Ok(Input { label, text, components, parameters })
    }

    /// Names alone: parameters of components are not supported.
    fn components(&mut self) -> Read<Vec<&'a str>> {
        self.demand(b'(')?;
        let mut components = Vec::new();
        while !self.accept(b')') {
            if !components.is_empty() {
                self.demand(b' ')?;
            }
            let name = self.string()?;
            // A second one could be read as another value.
            if components.contains(&name) || components.len() >= MAX_COMPONENTS {
                return Err(CredentialFault::Malformed);
            }
            components.push(name);
        }
        Ok(components)
    }

    fn parameters(&mut self) -> Read<Parameters<'a>> {
        let mut parameters = Parameters::default();
        while self.accept(b';') {
            let name = self.key()?;
            self.demand(b'=')?;
            let is_first = match name {
                "created" => parameters.created.replace(self.integer()?).is_none(),
                "expires" => parameters.expires.replace(self.integer()?).is_none(),
                "nonce" => parameters.nonce.replace(self.string()?).is_none(),
                "keyid" => parameters.key.replace(self.string()?).is_none(),
                "alg" => parameters.algorithm.replace(self.string()?).is_none(),
                "tag" => parameters.tag.replace(self.string()?).is_none(),
                _ => return Err(CredentialFault::Malformed),
            };
            if !is_first {
                return Err(CredentialFault::Repeated);
            }
        }
        Ok(parameters)
    }
}
