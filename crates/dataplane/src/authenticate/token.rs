//! The compact form of a signed token (RFC 7515 section 7.1), read without trusting any of it.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use crate::claims::Claims;
use crate::refusal::CredentialFault;

/// Bytes of a whole token.
pub(super) const MAX_TOKEN: usize = 16 * 1024;
/// Bytes of the header's JSON.
const MAX_HEADER: usize = 4 * 1024;

/// A well-formed token whose signature nobody has checked yet.
#[derive(Debug)]
pub(super) struct Token<'a> {
    /// What the signature covers: the first two parts with the dot between them.
    pub(super) signed: &'a [u8],
    pub(super) signature: Vec<u8>,
    pub(super) algorithm: String,
    pub(super) key: Option<String>,
    claims: &'a [u8],
}

impl<'a> Token<'a> {
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, CredentialFault> {
        let (token, header) = Self::split(bytes)?;
        match header.get("typ") {
            None => Ok(token),
            Some(Value::String(kind))
                if kind.eq_ignore_ascii_case("JWT") || kind.eq_ignore_ascii_case("at+jwt") =>
            {
                Ok(token)
            }
            Some(_) => Err(CredentialFault::Malformed),
        }
    }

    /// A proof of DPoP, with the key that it says it is signed with.
    pub(super) fn read_proof(bytes: &'a [u8]) -> Result<(Self, Value), CredentialFault> {
        let (token, header) = Self::split(bytes)?;
        match (header.get("typ"), header.get("jwk")) {
            (Some(Value::String(kind)), Some(key)) if kind.eq_ignore_ascii_case("dpop+jwt") => {
                Ok((token, key.clone()))
            }
            _ => Err(CredentialFault::Malformed),
        }
    }

    fn split(bytes: &'a [u8]) -> Result<(Self, Claims), CredentialFault> {
        if bytes.len() > MAX_TOKEN {
            return Err(CredentialFault::TooLong);
        }
        let (signed, signature) = split_last(bytes).ok_or(CredentialFault::Malformed)?;
        let (header, claims) = split_first(signed).ok_or(CredentialFault::Malformed)?;
        if memchr::memchr(b'.', claims).is_some() {
            return Err(CredentialFault::Malformed);
        }
        let header = decode(header)?;
        if header.len() > MAX_HEADER {
            return Err(CredentialFault::TooLong);
        }
        let header = Claims::parse(&header).ok_or(CredentialFault::Malformed)?;
        let (algorithm, key) = read_header(&header)?;
        Ok((Self { signed, signature: decode(signature)?, algorithm, key, claims }, header))
    }

    pub(super) fn claims(&self) -> Result<Claims, CredentialFault> {
        Claims::parse(&decode(self.claims)?).ok_or(CredentialFault::Malformed)
    }
}

/// `jku`, `jwk`, `x5u` and `x5c` are never looked at: keys of tokens come from the configuration alone.
fn read_header(header: &Claims) -> Result<(String, Option<String>), CredentialFault> {
    if header.get("crit").is_some() {
        return Err(CredentialFault::CriticalHeader);
    }
    let key = match header.get("kid") {
        None => None,
        Some(Value::String(key)) => Some(key.clone()),
        Some(_) => return Err(CredentialFault::Malformed),
    };
    match header.get("alg") {
        Some(Value::String(algorithm)) => Ok((algorithm.clone(), key)),
        Some(_) | None => Err(CredentialFault::Malformed),
    }
}

/// base64url without padding; other alphabets, white space and left-over bits are refused.
fn decode(text: &[u8]) -> Result<Vec<u8>, CredentialFault> {
    URL_SAFE_NO_PAD.decode(text).map_err(|_| CredentialFault::Malformed)
}

fn split_first(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (left, right) = bytes.split_at_checked(memchr::memchr(b'.', bytes)?)?;
    Some((left, right.get(1..)?))
}

fn split_last(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (left, right) = bytes.split_at_checked(memchr::memrchr(b'.', bytes)?)?;
    Some((left, right.get(1..)?))
}
