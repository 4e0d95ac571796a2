//! Authenticate: who calls?
//! Takes the route's `AuthPolicy` and the `Request`. Gives a `Caller`. Refuses with `Unauthenticated`, or with
//! `AuthenticationUnavailable` where there are no keys to judge by, or somebody has to be asked first, or with
//! `LoginRequired` where a browser can be sent to log in. It never lets a wrong credential through.

mod api_keys;
mod askers;
mod attempt;
mod basic;
mod cache;
mod certificate;
mod claim_headers;
mod claim_tests;
mod claims;
mod confirmation;
mod dpop;
mod generations;
mod granted;
mod identity;
mod key_store;
mod key_uses;
mod named;
mod opaque;
mod passwords;
mod replays;
mod revocations;
mod session;
mod shards;
mod signature;
mod source;
mod standing;
mod stored_identity;
mod stored_keys;
mod token;
mod token_keys;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use crate::caller::Caller;
use crate::refusal::{BrowserRefusal, CredentialFault, CredentialKind, Refusal, Unjudged};
use crate::request::Request;
use crate::session::Login;
use crate::snapshot::document::AuthDocument;

use attempt::Attempt;
pub use cache::{TokenCache, Wanted, WantedKey, WantedPassword, WantedToken};
pub use identity::Identities;
use identity::{Failure, Identity};
pub use key_store::KeyStore;
pub use key_uses::KeyUse;
pub use opaque::OpaqueIdentity;
pub use passwords::{Passwords, PasswordsSize};
pub use revocations::{Revocations, RevocationsSize};
pub use session::Renewed;
pub use signature::digest_of_body;
use source::Source;
pub use stored_keys::{Believed, KeyRefusal, StoredKeys, StoredKeysSize};

/// Which identities a route accepts, in order, and whether it goes on without any.
#[derive(Clone)]
pub struct AuthPolicy {
    groups: Box<[Group]>,
    missing: Missing,
    /// Where browsers without a credential are sent.
    login: Option<Arc<Login>>,
}

/// What becomes of a request without any credential.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Missing {
    Refused,
    /// Goes on as nobody's.
    Anonymous,
    /// Likewise, for as long as clients learn to send one (AU-24).
    Excused,
}

impl Missing {
    fn of(document: &AuthDocument) -> Self {
        match document {
            AuthDocument { grace_period: true, .. } => Self::Excused,
            AuthDocument { optional: true, .. } => Self::Anonymous,
            AuthDocument { .. } => Self::Refused,
        }
    }
}

/// Identities of one kind that look in the same place: one credential, several that may know it.
#[derive(Clone)]
struct Group {
    source: Source,
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
            for source in &identity.sources {
                match groups.iter_mut().find(|group| group.suits(source, identity)) {
                    // Only one can be asked about at a time: a wrong password would be a wait for the other, and no failure.
                    Some(_) if identity.kind.credential() == CredentialKind::Password => {
                        return Err(format!("{}: `accept` names two identities with passwords", document.at));
                    }
                    Some(group) => group.members.push(Arc::clone(identity)),
                    None => {
                        groups.push(Group { source: source.clone(), members: vec![Arc::clone(identity)] })
                    }
                }
            }
        }
        if groups.is_empty() {
            return Err(format!("{}: `accept` names no identity", document.at));
        }
        let mut members = groups.iter().flat_map(|group| &group.members);
        let login = members.find_map(|identity| identity.login()).cloned();
        Ok(Self { groups: groups.into(), missing: Missing::of(document), login })
    }

    /// Requests without a credential pass for now, and are counted.
    pub fn has_grace_period(&self) -> bool {
        self.missing == Missing::Excused
    }

    /// What is demanded of whoever has sent no credential.
    fn demand(&self, request: &Request) -> Refusal {
        if let Some(login) = self.login.as_ref().filter(|login| login.suits(request)) {
            let identity = login.identity;
            return if login.knows_provider() {
                Refusal::Browser(BrowserRefusal::LoginRequired { identity })
            } else {
                Refusal::AuthenticationUnavailable { identity, cause: Unjudged::NoProvider }
            };
        }
        let first = self.groups.first().and_then(|group| group.members.first());
        first.map_or(Refusal::Internal, |identity| identity.refusal(Failure::Fault(CredentialFault::Missing)))
    }
}

impl Group {
    fn suits(&self, source: &Source, identity: &Identity) -> bool {
        let kind = identity.kind.credential();
        self.source == *source && self.members.first().is_some_and(|first| first.kind.credential() == kind)
    }

    /// `None`: nothing was sent where this group looks.
    fn credential<'a>(&'a self, request: &'a Request) -> Option<Result<&'a [u8], Refusal>> {
        let first = self.members.first()?;
        let found = self.source.read(request)?;
        Some(found.map_err(|fault| first.refusal(Failure::Fault(fault))))
    }

    /// A caller whose browser sends the credential from every page.
    fn vouched(&self, caller: Arc<Caller>) -> Arc<Caller> {
        if caller.ambient.is_some() || !matches!(self.source, Source::Cookie(_)) {
            return caller;
        }
        // The same token in a header, which is remembered as well, is no such credential.
        Arc::new(Caller { ambient: Some(Arc::default()), ..Caller::clone(&caller) })
    }

    /// The first member, in order, that knows the credential. Where none does, the weightiest failure is the answer.
    fn identify(&self, mut attempt: Attempt<'_>) -> Result<Arc<Caller>, Refusal> {
        if let Some((member, caller)) = self.remembered(&mut attempt) {
            return member.confirmed(caller, &attempt);
        }
        let issuer = attempt.issuer_to_choose_by(self.members.len());
        let mut closest: Option<(Failure, &Identity)> = None;
        for member in &self.members {
            let failure = match member.identify(&mut attempt, issuer.as_deref()) {
                Ok(caller) => return member.confirmed(caller, &attempt),
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
    fn remembered(&self, attempt: &mut Attempt<'_>) -> Option<(&Identity, Arc<Caller>)> {
        for (index, member) in self.members.iter().enumerate() {
            let is_ours = self.members.iter().take(index).all(|earlier| earlier.cannot_share_with(member));
            if !is_ours {
                return None;
            }
            if let Some(caller) = member.remembered(attempt) {
                return Some((member, caller));
            }
        }
        None
    }
}

/// Who calls. A route without a policy is open to all. The first accepted credential that was sent decides: a wrong
/// one is refused even where authentication is optional or in its grace period (O25), and even where another would have
/// been right. Only a session that has ended is none.
///
/// `renewed`: what the provider of the request's session has said, where it was asked.
pub fn identify(
    policy: Option<&AuthPolicy>,
    request: &Request,
    cache: &mut TokenCache,
    renewed: Option<&Renewed>,
    now_unix_ms: u64,
) -> Result<Arc<Caller>, Refusal> {
    let Some(policy) = policy else { return Ok(cache.anonymous()) };
    let mut ended = None;
    for group in &policy.groups {
        let Some(credential) = group.credential(request) else { continue };
        let found = credential.and_then(|credential| {
            let attempt = Attempt::new(credential, request, cache, now_unix_ms).after(renewed);
            group.identify(attempt.with_proof(group.source.demands_proof()))
        });
        match found {
            Err(refusal @ Refusal::Unauthenticated { kind: CredentialKind::Session, .. }) => {
                ended = Some(refusal);
            }
            Ok(caller) => return Ok(group.vouched(caller)),
            Err(refusal) => return Err(refusal),
        }
    }
    if policy.missing != Missing::Refused {
        return Ok(cache.anonymous());
    }
    let demand = policy.demand(request);
    // Why a session is none is worth knowing.
    Err(ended.filter(|_| matches!(demand, Refusal::Unauthenticated { .. })).unwrap_or(demand))
}
