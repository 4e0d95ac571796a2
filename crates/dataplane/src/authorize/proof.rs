//! Proof of work: what a browser has to do before a network of bad reputation is served, and how it is known that it did.
//!
//! Nothing is kept. A ticket is a code over the address and the time under a secret of the gateway; the proof is a number
//! that makes SHA-256 of the ticket's code and the number begin with so many zero bits. The cookie holds time and number,
//! so a proof is bound to its address and ends with its time. The page of a CAPTCHA that knows the secret may set a cookie
//! with a code of its own instead.

use std::net::IpAddr;
use std::sync::Arc;

use aws_lc_rs::{digest, hmac};

use crate::addresses::Registry;
use crate::refusal::Ticket;
use crate::request::{Known, Request};
use crate::snapshot::document::ChallengeDocument;

/// The cookie that holds a proof.
pub const COOKIE: &[u8] = b"gatewright_proof=";
/// Cookies that are looked at; each costs two hashes.
const MOST: usize = 2;
/// Clocks of nodes differ by this much at most, and a proof begins in the future by it.
const SKEW_SECONDS: u64 = 60;

pub struct Challenge {
    key: hmac::Key,
    difficulty: u32,
    lifetime: u64,
    elsewhere: Option<Arc<str>>,
}

impl Challenge {
    pub fn compile(document: &ChallengeDocument, registry: &Registry) -> Self {
        let secret = document.secret.as_ref().map(|secret| secret.as_bytes().to_vec());
        let secret = secret.unwrap_or_else(|| registry.secret().to_vec());
        Self {
            key: hmac::Key::new(hmac::HMAC_SHA256, &secret),
            difficulty: document.difficulty,
            lifetime: document.lifetime_s,
            elsewhere: document.redirect.as_deref().map(Arc::from),
        }
    }

    pub fn ticket(&self, client: IpAddr, unix_ms: u64) -> Ticket {
        let seconds = unix_ms / 1000;
        Ticket {
            seed: self.seed(client, seconds).into(),
            seconds,
            difficulty: self.difficulty,
            lifetime: self.lifetime,
            elsewhere: self.elsewhere.clone(),
        }
    }

    pub fn is_met(&self, request: &Request, unix_ms: u64) -> bool {
        let cookies = request.headers.iter().filter(|header| header.known == Known::Cookie);
        let pairs = cookies.flat_map(|header| request.slice(header.value).split(|byte| *byte == b';'));
        let proofs = pairs.filter_map(|pair| pair.trim_ascii().strip_prefix(COOKIE));
        let proofs = proofs.filter_map(|proof| std::str::from_utf8(proof).ok());
        proofs.take(MOST).any(|proof| self.accepts(proof, request.client, unix_ms / 1000).is_some())
    }

    /// `p.TIME.NUMBER`, a proof of work; `c.UNTIL.CODE`, of a CAPTCHA.
    fn accepts(&self, proof: &str, client: IpAddr, now: u64) -> Option<()> {
        let mut parts = proof.split('.');
        let (kind, time, rest) = (parts.next()?, number(parts.next()?)?, parts.next()?);
        let is_over = parts.next().is_none();
        let is_good = match kind {
            "p" => self.is_current(time, now) && self.is_work(client, time, rest),
            "c" => (now..=now + self.lifetime).contains(&time) && self.is_code(client, time, rest),
            _ => false,
        };
        (is_over && is_good).then_some(())
    }

    fn is_current(&self, time: u64, now: u64) -> bool {
        time <= now + SKEW_SECONDS && now < time.saturating_add(self.lifetime)
    }

    fn is_work(&self, client: IpAddr, time: u64, answer: &str) -> bool {
        // The same number in another spelling would be the same work, but it is not what the page writes.
        if number(answer).is_none() {
            return false;
        }
        let text = format!("{}.{answer}", self.seed(client, time));
        let hash = digest::digest(&digest::SHA256, text.as_bytes());
        zero_bits(hash.as_ref()) >= self.difficulty
    }

    /// HMAC-SHA-256 under the secret over `captcha ADDRESS UNTIL`, in hexadecimal.
    fn is_code(&self, client: IpAddr, until: u64, code: &str) -> bool {
        let text = format!("captcha {} {until}", client.to_canonical());
        unhex(code).is_some_and(|code| hmac::verify(&self.key, text.as_bytes(), &code).is_ok())
    }

    fn seed(&self, client: IpAddr, seconds: u64) -> String {
        let text = format!("work {} {seconds}", subscriber(client));
        hex(hmac::sign(&self.key, text.as_bytes()).as_ref())
    }
}

/// Of IPv6 the network of a subscriber, whose own addresses change by the hour.
fn subscriber(client: IpAddr) -> IpAddr {
    const HOST_BITS: u32 = 64;
    match client.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => IpAddr::V6((address.to_bits() >> HOST_BITS << HOST_BITS).into()),
    }
}

fn number(text: &str) -> Option<u64> {
    let is_plain = (1..=16).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    is_plain.then(|| text.parse().ok()).flatten()
}

fn zero_bits(hash: &[u8]) -> u32 {
    let whole = hash.iter().take_while(|byte| **byte == 0).count();
    let rest = hash.get(whole).map_or(0, |byte| byte.leading_zeros());
    whole as u32 * 8 + rest
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> =
        text.chars().map(|digit| digit.to_digit(16).map(|digit| digit as u8)).collect::<Option<_>>()?;
    (digits.len() == 64).then(|| {
        digits.chunks_exact(2).map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit)).collect()
    })
}

#[cfg(test)]
#[path = "proof_tests.rs"]
mod tests;
