//! Signed requests: HTTP Message Signatures (RFC 9421), by a shared secret or a key pair. What is signed is read from the
//! canonical request, so that it is also what is routed, authorised and sent on.

mod base;
mod input;
mod verifier;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;

use aws_lc_rs::digest;

use super::attempt::Attempt;
use super::generations::{HASH, KeyedHash};
use super::identity::Failure;
use super::named;
use super::replays::{Replays, Use};
use crate::caller::{Caller, CallerKind, is_header_safe};
use crate::refusal::{CredentialFault, Unjudged};
use crate::request::{Framing, Request};
use crate::snapshot::document::{SignatureDocument, SignerDocument};
use base::{base, covers};
pub use input::digest as digest_of_body;
use input::{Input, Parameters, signature};
use verifier::Verifier;

const DIGEST: &str = "content-digest";

pub(super) struct SignatureIdentity {
    name: Box<str>,
    label: Option<Box<str>>,
    signers: HashMap<Box<str>, Signer>,
    /// What every signature has to cover.
    components: Box<[Box<str>]>,
    max_age_ms: u64,
    leeway_ms: u64,
    needs_nonce: bool,
    needs_digest: bool,
    nonces: Arc<Replays>,
}

struct Signer {
    verifier: Verifier,
    expires_at_ms: u64,
    caller: Arc<Caller>,
}

impl SignatureIdentity {
    /// Refuses keys that repeat or do not compile, and names and scopes that cannot be sent as a header.
    pub(super) fn compile(
        (index, name): (u32, &str),
        document: &SignatureDocument,
        nonces: Arc<Replays>,
    ) -> Result<Self, String> {
        let mut signers = HashMap::with_capacity(document.keys.len());
        for entry in &document.keys {
            let signer =
                Signer::compile(index, entry).map_err(|error| format!("key `{}`: {error}", entry.id))?;
            if signers.insert(entry.id.as_str().into(), signer).is_some() {
                return Err(format!("key `{}` is repeated", entry.id));
            }
        }
        nonces.set_most(document.max_nonces as usize);
        Ok(Self {
            name: name.into(),
            label: document.label.as_deref().map(Into::into),
            signers,
            components: document.components.iter().map(|name| name.as_str().into()).collect(),
            max_age_ms: document.max_age_ms,
            leeway_ms: document.leeway_ms,
            needs_nonce: document.needs_nonce,
            needs_digest: document.needs_digest,
            nonces,
        })
    }

    pub(super) fn identify(&self, attempt: &Attempt<'_>) -> Result<Arc<Caller>, Failure> {
        let (request, now_ms) = (attempt.request(), attempt.now_unix_ms());
        let input = Input::read(attempt.credential(), self.label.as_deref())?;
        let id = input.parameters.key.ok_or(CredentialFault::UnknownKey)?;
        let signer = self.signers.get(id).ok_or(CredentialFault::UnknownKey)?;
        if input.parameters.algorithm.is_some_and(|named| named != signer.verifier.algorithm()) {
            return Err(CredentialFault::WrongAlgorithm.into());
        }
        self.check_coverage(request, &input)?;
        let until_ms = self.check_times(&input.parameters, now_ms)?;
        if now_ms >= signer.expires_at_ms {
            return Err(CredentialFault::Expired.into());
        }
        let signature = signature(single(request, b"signature")?, input.label)?;
        signer.verifier.verify(&base(request, &input)?, &signature)?;
        // Last: whoever has no key uses nobody's nonces up.
        self.use_nonce(id, input.parameters.nonce, (until_ms, now_ms))?;
        Ok(Arc::clone(&signer.caller))
    }

    fn check_coverage(&self, request: &Request, input: &Input<'_>) -> Result<(), CredentialFault> {
        let is_covered = |wanted: &str| input.components.iter().any(|component| covers(component, wanted));
        let has_body = !matches!(request.framing, Framing::None | Framing::Length(0));
        let is_whole = !self.needs_digest || !has_body || is_covered(DIGEST);
        if is_whole && self.components.iter().all(|wanted| is_covered(wanted)) {
            return Ok(());
        }
        Err(CredentialFault::UnsignedPart)
    }

    /// Until when the signature is good.
    fn check_times(&self, parameters: &Parameters<'_>, now_ms: u64) -> Result<u64, CredentialFault> {
        let milliseconds = |seconds: u64| seconds.saturating_mul(1_000);
        let created_ms = milliseconds(parameters.created.ok_or(CredentialFault::MissingTime)?);
        if created_ms > now_ms.saturating_add(self.leeway_ms) {
            return Err(CredentialFault::IssuedInFuture);
        }
        let expires_ms = parameters.expires.map_or(u64::MAX, milliseconds);
        let until_ms =
            created_ms.saturating_add(self.max_age_ms).min(expires_ms).saturating_add(self.leeway_ms);
        if now_ms >= until_ms { Err(CredentialFault::Expired) } else { Ok(until_ms) }
    }

    fn use_nonce(
        &self,
        id: &str,
        nonce: Option<&str>,
        (until_ms, now_ms): (u64, u64),
    ) -> Result<(), Failure> {
        let Some(nonce) = nonce.filter(|nonce| !nonce.is_empty()) else {
            return if self.needs_nonce { Err(CredentialFault::MissingNonce.into()) } else { Ok(()) };
        };
        let signed = |milliseconds: u64| i64::try_from(milliseconds).unwrap_or(i64::MAX);
        match self.nonces.take(told_apart(&self.name, id, nonce), signed(until_ms), signed(now_ms)) {
            Use::First => Ok(()),
            Use::Again => Err(CredentialFault::Replayed.into()),
            Use::Full => Err(Failure::Unjudged(Unjudged::TooManyNonces)),
        }
    }
}

impl Signer {
    fn compile(index: u32, entry: &SignerDocument) -> Result<Self, String> {
        for name in [&entry.partner, &entry.id] {
            if !is_header_safe(name) {
                return Err(format!("`{name}` cannot be sent in a header"));
            }
        }
        let caller = Caller {
            partner: Some(entry.partner.as_str().into()),
            key_id: Some(entry.id.as_str().into()),
            tier: entry.tier.as_deref().map(Into::into),
            roles: named::roles(&entry.roles)?,
            ..Caller::new(CallerKind::Partner, Some(index), named::scopes(&entry.scopes)?)
        };
        let verifier = Verifier::compile(&entry.algorithm, &entry.key)?;
        Ok(Self {
            verifier,
            expires_at_ms: entry.expires_at_ms.unwrap_or(u64::MAX),
            caller: Arc::new(caller),
        })
    }
}

/// The one value of a header: of two, a service could read the other.
fn single<'r>(request: &'r Request, name: &'r [u8]) -> Result<&'r [u8], CredentialFault> {
    let mut values = request.values(name);
    let value = values.next().ok_or(CredentialFault::Missing)?;
    if values.next().is_none() { Ok(value) } else { Err(CredentialFault::Repeated) }
}

/// A nonce is its key's own. With lengths before them, so that no two triples are one text.
fn told_apart(identity: &str, key: &str, nonce: &str) -> KeyedHash {
    let mut context = digest::Context::new(&digest::SHA256);
    for text in [identity, key, nonce] {
        context.update(&(text.len() as u64).to_le_bytes());
        context.update(text.as_bytes());
    }
    let mut hash = [0; HASH];
    hash.copy_from_slice(context.finish().as_ref());
    hash
}
