//! Authenticate: who calls?
//! Takes the route's `AuthPolicy` and the `Request`. Gives a `Caller`. Refuses with `Unauthenticated`, or with
//! `AuthenticationUnavailable` where there are no keys to judge by, or the key store has to be asked first. It never lets a wrong credential through.

mod api_keys;
mod askers;
mod cache;
mod certificate;
mod claims;
mod generations;
mod identity;
mod key_store;
mod key_uses;
mod members;
mod stored_identity;
mod stored_keys;
mod token;
mod token_keys;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use crate::caller::Caller;
use crate::refusal::{CredentialFault, CredentialKind, Refusal};
use crate::request::Request;
use crate::snapshot::document::AuthDocument;
use crate::tls::ClientCertificate;

pub use cache::{TokenCache, Wanted};
pub use identity::Identities;
use identity::{Attempt, Failure, Identity};
pub use key_store::KeyStore;
pub use key_uses::KeyUse;
pub use stored_keys::{Believed, KeyRefusal, StoredKeys, StoredKeysSize};

/// Which identities a route accepts, in order, and whether it goes on without any.
#[derive(Clone)]
pub struct AuthPolicy {
    groups: Box<[Group]>,
    is_optional: bool,
}

/// Identities of one kind that read the same header: one credential, several that may know it.
#[derive(Clone)]
struct Group {
    members: Vec<Arc<Identity>>,
}

impl AuthPolicy {
    /// Refuses an empty `accept` and names that no identity has.
    pub fn compile(document: &AuthDocument, identities: &Identities) -> Result<Self, String> {
        let mut groups: Vec<Group> = Vec::new();
        for name in &document.accept {
            let identity = identities
                .find(name)
                .ok_or_else(|| format!("{}: there is no identity `{name}`", document.at))?;
            match groups.iter_mut().find(|group| group.suits(identity)) {
                Some(group) => group.members.push(Arc::clone(identity)),
                None => groups.push(Group { members: vec![Arc::clone(identity)] }),
            }
        }
        if groups.is_empty() {
            return Err(format!("{}: `accept` names no identity", document.at));
        }
        Ok(Self { groups: groups.into(), is_optional: document.optional })
    }
}

impl Group {
    fn suits(&self, identity: &Identity) -> bool {
        self.members.first().is_some_and(|first| {
            first.kind.credential() == identity.kind.credential() && first.header == identity.header
        })
    }

    /// `None`: the header was not sent.
    fn credential<'a>(&'a self, request: &'a Request) -> Option<Result<&'a [u8], Refusal>> {
        let first = self.members.first()?;
        let mut values = request.values(&first.header);
        let value = values.next()?;
        // Two components could disagree about which of two credentials counts.
        let is_single = values.next().is_none();
        Some(if is_single {
            Ok(value)
        } else {
            Err(first.refusal(Failure::Fault(CredentialFault::Repeated)))
        })
    }

    /// The certificate of the connection, where this group judges by it and the client has shown one.
    fn certificate<'a>(&self, request: &'a Request) -> Option<&'a ClientCertificate> {
        let first = self.members.first()?;
        let is_ours = first.kind.credential() == CredentialKind::Certificate;
        request.secured.as_ref().filter(|_| is_ours)?.client.as_ref()
    }

    fn certified(&self, certificate: &ClientCertificate, now_ms: u64) -> Result<Arc<Caller>, Refusal> {
        let mut refusal = Refusal::Internal;
        for member in &self.members {
            match member.certified(certificate, now_ms) {
                Ok(caller) => return Ok(caller),
                Err(failure) => refusal = member.refusal(failure),
            }
        }
        Err(refusal)
    }

    /// The first member, in order, that knows the credential. Where none does, the weightiest failure is the answer.
    fn identify(&self, mut attempt: Attempt<'_>) -> Result<Arc<Caller>, Refusal> {
        if let Some(caller) = self.remembered(&mut attempt) {
            return Ok(caller);
        }
        let issuer = attempt.issuer_to_choose_by(self.members.len());
        let mut closest: Option<(Failure, &Identity)> = None;
        for member in &self.members {
            let failure = match member.identify(&mut attempt, issuer.as_deref()) {
                Ok(caller) => return Ok(caller),
                Err(failure) => failure,
            };
            if closest.is_none_or(|(other, _)| failure.weight() > other.weight()) {
                closest = Some((failure, member));
            }
        }
        Err(closest.map_or(Refusal::Internal, |(failure, member)| member.refusal(failure)))
    }

    /// A remembered token counts only where no earlier member could claim it first, so that what is cached never
    /// changes which identity answers.
    fn remembered(&self, attempt: &mut Attempt<'_>) -> Option<Arc<Caller>> {
        for (index, member) in self.members.iter().enumerate() {
            let is_ours = self.members.iter().take(index).all(|earlier| earlier.cannot_share_with(member));
            if !is_ours {
                return None;
            }
            if let Some(caller) = member.remembered(attempt) {
                return Some(caller);
            }
        }
        None
    }
}

/// Who calls. A route without a policy is open to all. The first accepted credential that was sent decides: a wrong
/// one is refused even where authentication is optional, and even where another would have been right.
pub fn identify(
    policy: Option<&AuthPolicy>,
    request: &Request,
    cache: &mut TokenCache,
    now_unix_ms: u64,
) -> Result<Arc<Caller>, Refusal> {
    let Some(policy) = policy else { return Ok(cache.anonymous()) };
    for group in &policy.groups {
        if let Some(certificate) = group.certificate(request) {
            return group.certified(certificate, now_unix_ms);
        }
        if let Some(credential) = group.credential(request) {
            return group.identify(Attempt::new(credential?, request.client, cache, now_unix_ms));
        }
    }
    if policy.is_optional {
        return Ok(cache.anonymous());
    }
    let first = policy.groups.first().and_then(|group| group.members.first());
    Err(first
        .map_or(Refusal::Internal, |identity| identity.refusal(Failure::Fault(CredentialFault::Missing))))
}
