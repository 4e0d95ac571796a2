//! Cookies of a login: which of a request's are ours, and the `Set-Cookie` lines of an answer.

use crate::request::{Known, Request};
use crate::snapshot::document::{SameSiteDocument, SessionDocument};

/// Bytes of a value that every browser keeps, with room for name and attributes.
const MAX_VALUE: usize = 3_800;
/// Cookies that a long value is cut into, at most; `max_tokens_bytes` has no room for more.
const MAX_PIECES: usize = 8;

/// How the cookies of one identity are called and what they are marked with.
pub struct Jar {
    /// With its prefix: `__Host-session`.
    pub name: Box<str>,
    /// `; Path=/; HttpOnly; ...`, without an age.
    attributes: Box<str>,
    /// The same for the one cookie that pages may read.
    readable: Box<str>,
    /// A login comes back from another site, so its own cookie has to be sent then.
    pending: Box<str>,
    max_tokens: usize,
}

impl Jar {
    pub fn compile(document: &SessionDocument) -> Self {
        let common = |same_site: &str| {
            let domain =
                document.domain.as_ref().map_or(String::new(), |domain| format!("; Domain={domain}"));
            let secure = if document.secure { "; Secure" } else { "" };
            format!("; Path=/{domain}{secure}; SameSite={same_site}")
        };
        let same_site = match document.same_site {
            SameSiteDocument::Strict => "Strict",
            SameSiteDocument::Lax => "Lax",
            SameSiteDocument::None => "None",
        };
        let pending = if document.same_site == SameSiteDocument::None { "None" } else { "Lax" };
        Self {
            name: document.cookie.as_str().into(),
            attributes: format!("{}; HttpOnly", common(same_site)).into(),
            readable: common(same_site).into(),
            pending: format!("{}; HttpOnly", common(pending)).into(),
            max_tokens: document.max_tokens_bytes.min(MAX_VALUE * MAX_PIECES),
        }
    }

    /// What browsers sent under the session's name; more than one only where somebody planted another.
    pub fn session<'r>(&'r self, request: &'r Request) -> impl Iterator<Item = &'r [u8]> {
        values(request, self.name.as_bytes())
    }

    pub fn tokens(&self, request: &Request) -> Option<Vec<u8>> {
        let mut whole = Vec::new();
        for piece in 0..MAX_PIECES {
            let name = self.piece(piece);
            let Some(value) = values(request, name.as_bytes()).next() else { break };
            whole.extend_from_slice(value);
        }
        (!whole.is_empty()).then_some(whole)
    }

    fn piece(&self, number: usize) -> String {
        format!("{}.t{number}", self.name)
    }

    fn pending_name(&self, state: &str) -> Option<String> {
        Some(format!("{}.l-{}", self.name, state.get(..8)?))
    }

    pub fn pending<'r>(&self, request: &'r Request, state: &str) -> Option<&'r [u8]> {
        let name = self.pending_name(state)?;
        pairs(request).find(|(own, _)| *own == name.as_bytes()).map(|(_, value)| value)
    }

    /// Names of all logins of this browser that have begun.
    pub fn all_pending<'r>(&self, request: &'r Request) -> Vec<&'r str> {
        let prefix = format!("{}.l-", self.name);
        let names = pairs(request).filter_map(|(name, _)| std::str::from_utf8(name).ok());
        names.filter(|name| name.starts_with(&prefix)).collect()
    }

    pub fn set_session(&self, value: &str, seconds: u64, lines: &mut Vec<u8>) {
        line(&self.name, value, seconds, &self.attributes, lines);
    }

    /// The token of the session where pages of this origin can read it.
    pub fn set_readable(&self, value: &str, seconds: u64, lines: &mut Vec<u8>) {
        line(&format!("{}.csrf", self.name), value, seconds, &self.readable, lines);
    }

    /// False where the value is too long for all the cookies that it may take; then nothing is said of them.
    pub fn set_tokens(&self, request: &Request, value: &str, seconds: u64, lines: &mut Vec<u8>) -> bool {
        if value.len() > self.max_tokens {
            return false;
        }
        let value = value.as_bytes();
        let mut pieces = value.chunks(MAX_VALUE);
        for number in 0..MAX_PIECES {
            let name = self.piece(number);
            match pieces.next().and_then(|piece| std::str::from_utf8(piece).ok()) {
                Some(piece) => line(&name, piece, seconds, &self.attributes, lines),
                // What is left of a longer one would be read as part of this one.
                None if values(request, name.as_bytes()).next().is_some() => {
                    line(&name, "", 0, &self.attributes, lines);
                }
                None => {}
            }
        }
        true
    }

    pub fn set_pending(&self, state: &str, value: &str, seconds: u64, lines: &mut Vec<u8>) {
        if let Some(name) = self.pending_name(state) {
            line(&name, value, seconds, &self.pending, lines);
        }
    }

    pub fn forget_pending(&self, name: &str, lines: &mut Vec<u8>) {
        line(name, "", 0, &self.pending, lines);
    }

    pub fn forget_login(&self, state: &str, lines: &mut Vec<u8>) {
        if let Some(name) = self.pending_name(state) {
            self.forget_pending(&name, lines);
        }
    }

    /// Nothing of the session stays with the browser.
    pub fn forget_session(&self, request: &Request, lines: &mut Vec<u8>) {
        line(&self.name, "", 0, &self.attributes, lines);
        line(&format!("{}.csrf", self.name), "", 0, &self.readable, lines);
        self.set_tokens(request, "", 0, lines);
    }
}

fn line(name: &str, value: &str, seconds: u64, attributes: &str, lines: &mut Vec<u8>) {
    lines.extend_from_slice(
        format!("set-cookie: {name}={value}; Max-Age={seconds}{attributes}\r\n").as_bytes(),
    );
}

/// Name and value of every cookie that was sent.
pub fn pairs(request: &Request) -> impl Iterator<Item = (&[u8], &[u8])> {
    let headers = request.headers.iter().filter(|header| header.known == Known::Cookie);
    headers.flat_map(|header| request.slice(header.value).split(|byte| *byte == b';')).filter_map(pair)
}

fn pair(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let text = text.trim_ascii();
    let (name, value) = text.split_at_checked(memchr::memchr(b'=', text)?)?;
    Some((name.trim_ascii_end(), value.get(1..)?.trim_ascii_start()))
}

fn values<'r>(request: &'r Request, name: &'r [u8]) -> impl Iterator<Item = &'r [u8]> {
    pairs(request).filter(move |(own, _)| *own == name).map(|(_, value)| value)
}
