//! Proofs that whoever sends a token has the key that it is bound to (RFC 9449): one signed statement for each request.

use std::sync::Arc;

use aws_lc_rs::digest::{Context, SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use super::attempt::Attempt;
use super::claims::numeric_date;
use super::identity::Failure;
use super::replays::{Replays, Use};
use super::token::Token;
use super::token_keys::ProofKey;
use crate::claims::Claims;
use crate::refusal::{CredentialFault, Unjudged};
use crate::request::{Request, Scheme};
use crate::snapshot::document::DpopDocument;

/// Bytes of a `jti`: each is one entry of a bounded table, whatever its length.
const MAX_ID: usize = 1_024;

pub(super) struct Proofs {
    /// Tokens without one are taken, too.
    pub(super) is_optional: bool,
    max_age_ms: i64,
    leeway_ms: i64,
    replays: Arc<Replays>,
}

impl Proofs {
    pub(super) fn compile(document: &DpopDocument, leeway_ms: u64, replays: Arc<Replays>) -> Self {
        replays.set_most(document.max_proofs as usize);
        let milliseconds = |number| i64::try_from(number).unwrap_or(i64::MAX);
        Self {
            is_optional: document.optional,
            max_age_ms: milliseconds(document.max_age_ms),
            leeway_ms: milliseconds(leeway_ms),
            replays,
        }
    }

    /// `key`: what the token is bound to. The proof is used up only when all else about it is right.
    pub(super) fn check(&self, key: &[u8; 32], attempt: &Attempt<'_>) -> Result<(), Failure> {
        let proof = single(attempt.request())?;
        let (token, jwk) = Token::read_proof(proof).map_err(as_proof)?;
        let signer = ProofKey::compile(&jwk, &token.algorithm).ok_or(CredentialFault::BadProof)?;
        if signer.thumbprint != *key {
            return Err(CredentialFault::ProofOfOtherKey.into());
        }
        signer.verify(&token).map_err(as_proof)?;
        let claims = token.claims().map_err(as_proof)?;
        let until_ms = self.check_claims(&claims, attempt)?;
        self.use_up(&claims, key, (until_ms, attempt.now_ms()))
    }

    /// Gives until when the proof could be used again, were it forgotten.
    fn check_claims(&self, claims: &Claims, attempt: &Attempt<'_>) -> Result<i64, CredentialFault> {
        let request = attempt.request();
        let is_method = text(claims, "htm")? == request.method();
        if !is_method || !is_address(text(claims, "htu")?, request) {
            return Err(CredentialFault::ProofOfOtherRequest);
        }
        let digest = digest(&SHA256, attempt.credential());
        if text(claims, "ath")? != URL_SAFE_NO_PAD.encode(digest) {
            return Err(CredentialFault::ProofOfOtherToken);
        }
        let issued = numeric_date(claims, "iat").map_err(as_proof)?.ok_or(CredentialFault::BadProof)?;
        let until = issued.saturating_add(self.max_age_ms).saturating_add(self.leeway_ms);
        let from = issued.saturating_sub(self.leeway_ms);
        if (from..until).contains(&attempt.now_ms()) { Ok(until) } else { Err(CredentialFault::ProofTooOld) }
    }

    fn use_up(&self, claims: &Claims, key: &[u8; 32], (until_ms, now_ms): (i64, i64)) -> Result<(), Failure> {
        let id = text(claims, "jti")?;
        if !(1..=MAX_ID).contains(&id.len()) {
            return Err(CredentialFault::BadProof.into());
        }
        let mut context = Context::new(&SHA256);
        context.update(key);
        context.update(id.as_bytes());
        let mut seen = [0; 32];
        seen.copy_from_slice(context.finish().as_ref());
        match self.replays.take(seen, until_ms, now_ms) {
            Use::First => Ok(()),
            Use::Again => Err(CredentialFault::ProofReplayed.into()),
            Use::Full => Err(Failure::Unjudged(Unjudged::TooManyProofs)),
        }
    }
}

fn single(request: &Request) -> Result<&[u8], CredentialFault> {
    let mut values = request.values(b"dpop");
    let proof = values.next().ok_or(CredentialFault::NoProof)?;
    if values.next().is_some() { Err(CredentialFault::BadProof) } else { Ok(proof) }
}

/// What is wrong with the form of a proof is not what is wrong with a token.
fn as_proof(_: CredentialFault) -> CredentialFault {
    CredentialFault::BadProof
}

fn text<'a>(claims: &'a Claims, name: &str) -> Result<&'a str, CredentialFault> {
    claims.get(name).and_then(Value::as_str).ok_or(CredentialFault::BadProof)
}

/// Is this the address that the request was sent to, query and fragment aside (RFC 9449 section 4.3)?
fn is_address(text: &str, request: &Request) -> bool {
    let Some((scheme, rest)) = text.split_once("://") else { return false };
    let (own, port) = match request.scheme {
        Scheme::Http => ("http", ":80"),
        Scheme::Https => ("https", ":443"),
    };
    let rest = rest.split(['?', '#']).next().unwrap_or_default();
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let path = if path.is_empty() { "/" } else { path };
    let host = |authority: &'_ str| authority.strip_suffix(port).unwrap_or(authority).to_ascii_lowercase();
    scheme.eq_ignore_ascii_case(own)
        && host(authority) == host(request.str(request.authority))
        && path == request.path()
}
