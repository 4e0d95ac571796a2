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
/// What tokens call themselves (RFC 7519 section 5.1, RFC 9068 section 2.1).
const USUAL: [&str; 2] = ["jwt", "at+jwt"];

/// A well-formed token whose signature nobody has checked yet.
#[derive(Debug)]
pub(super) struct Token<'a> {
    /// What the signature covers: the first two parts with the dot between them.
    pub(super) signed: &'a [u8],
    pub(super) signature: Vec<u8>,
    pub(super) algorithm: String,
    pub(super) key: Option<String>,
    /// `typ`, in lower case and without `application/`.
    kind: Option<String>,
    claims: &'a [u8],
}

impl<'a> Token<'a> {
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, CredentialFault> {
        Self::split(bytes).map(|(token, _)| token)
    }

    /// A proof of DPoP, with the key that it says it is signed with.
    pub(super) fn read_proof(bytes: &'a [u8]) -> Result<(Self, Value), CredentialFault> {
        let (token, header) = Self::split(bytes)?;
        let key = header.get("jwk").filter(|_| token.kind.as_deref() == Some("dpop+jwt")).cloned();
        Ok((token, key.ok_or(CredentialFault::Malformed)?))
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
        if header.get("crit").is_some() {
            return Err(CredentialFault::CriticalHeader);
        }
        let algorithm = text(&header, "alg")?.ok_or(CredentialFault::Malformed)?;
        let (key, kind) = (text(&header, "kid")?, text(&header, "typ")?.map(media_type));
        Ok((Self { signed, signature: decode(signature)?, algorithm, key, kind, claims }, header))
    }

    /// Is it a token of these types (RFC 8725 section 3.11)? Where none are named, it may leave its type unsaid.
    pub(super) fn check_type(&self, types: Option<&[String]>) -> Result<(), CredentialFault> {
        let is_right = match (types, self.kind.as_deref()) {
            (None, kind) => kind.is_none_or(|kind| USUAL.contains(&kind)),
            (Some(types), Some(kind)) => types.iter().any(|one| one == kind),
            (Some(_), None) => false,
        };
        if is_right { Ok(()) } else { Err(CredentialFault::WrongType) }
    }

    #[cfg(test)]
    pub(super) fn signed(message: &'a [u8], signature: &[u8], algorithm: &str) -> Self {
        let (signature, algorithm) = (signature.to_vec(), algorithm.to_owned());
        Self { signed: message, signature, algorithm, key: None, kind: None, claims: &[] }
    }

    pub(super) fn claims(&self) -> Result<Claims, CredentialFault> {
        Claims::parse(&decode(self.claims)?).ok_or(CredentialFault::Malformed)
    }
}

/// A member of the header. `jku`, `jwk`, `x5u` and `x5c` are never looked at: keys of tokens come from the configuration alone.
fn text(header: &Claims, member: &str) -> Result<Option<String>, CredentialFault> {
    match header.get(member) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(CredentialFault::Malformed),
    }
}

/// The prefix may be left out (RFC 7515 section 4.1.9).
fn media_type(mut kind: String) -> String {
    kind.make_ascii_lowercase();
    kind.strip_prefix("application/").map(str::to_owned).unwrap_or(kind)
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
