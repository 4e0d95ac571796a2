//! What a token needs besides a proof: claims that hold, and that nobody has revoked it. Alike for tokens that carry their
//! proof and for those whose issuer is asked.

use std::sync::Arc;

use super::claims::{Accepted, ClaimRules};
use super::confirmation;
use super::revocations::{Marked, Revocations};
use crate::caller::{Caller, CallerKind};
use crate::claims::Claims;
use crate::refusal::CredentialFault;
use crate::snapshot::document::JwtDocument;

/// What one identity demands of its tokens.
pub(super) struct Standing {
    pub(super) rules: ClaimRules,
    /// Callers keep the claims, since something reads them.
    keeps_claims: bool,
    /// Every token is bound to the certificate of the connection.
    demands_certificate: bool,
    pub(super) watch: Watch,
}

/// Which of one identity's tokens have been revoked.
pub(super) struct Watch {
    /// Of the identity, by which its tokens are revoked.
    name: Box<str>,
    revocations: Arc<Revocations>,
}

/// What a token can be revoked by, besides its user.
#[derive(Default)]
pub(super) struct Marks {
    pub(super) id: Option<Box<str>>,
    pub(super) issued_ms: Option<i64>,
}

/// A token that stands, and how long.
pub(super) struct Judged {
    pub(super) caller: Caller,
    pub(super) valid_from_ms: i64,
    pub(super) valid_until_ms: i64,
    pub(super) marks: Marks,
    /// The version of the revocations that it was held against.
    pub(super) revocations: u64,
}

impl Standing {
    pub(super) fn compile(
        name: &str,
        document: &JwtDocument,
        revocations: &Arc<Revocations>,
    ) -> Result<Self, String> {
        Ok(Self {
            rules: ClaimRules::compile(document)?,
            keeps_claims: document.keep_claims,
            demands_certificate: document.certificate_bound,
            watch: Watch::new(name, revocations),
        })
    }

    /// `index` is the identity's.
    pub(super) fn judge(&self, index: u32, claims: Claims, now_ms: i64) -> Result<Judged, CredentialFault> {
        let accepted = self.rules.check(&claims, now_ms)?;
        let Accepted { valid_from_ms, valid_until_ms, .. } = accepted;
        let confirmation = confirmation::read(&claims)?;
        let is_bound = confirmation.as_ref().is_some_and(|bound| bound.certificate.is_some());
        if self.demands_certificate && !is_bound {
            return Err(CredentialFault::NotBound);
        }
        // Read first: what is added meanwhile has another version.
        let revocations = self.watch.version();
        let claims = self.keeps_claims.then(|| Arc::new(claims));
        let caller = Caller {
            user: accepted.user,
            tier: accepted.tier,
            roles: accepted.roles,
            header_lines: accepted.header_lines,
            claims,
            confirmation,
            ..Caller::new(CallerKind::User, Some(index), accepted.scopes)
        };
        let marks = Marks { id: accepted.id, issued_ms: accepted.issued_ms };
        if self.watch.is_revoked(caller.user.as_deref(), &marks, now_ms) {
            return Err(CredentialFault::Revoked);
        }
        Ok(Judged { caller, valid_from_ms, valid_until_ms, marks, revocations })
    }
}

impl Watch {
    pub(super) fn new(name: &str, revocations: &Arc<Revocations>) -> Self {
        Self { name: name.into(), revocations: Arc::clone(revocations) }
    }

    pub(super) fn version(&self) -> u64 {
        self.revocations.version()
    }

    pub(super) fn is_revoked(&self, user: Option<&str>, marks: &Marks, now_ms: i64) -> bool {
        let Marks { id, issued_ms } = marks;
        let id = id.as_deref();
        let marked = Marked { identity: &self.name, id, user, issued_ms: *issued_ms };
        self.revocations.is_revoked(&marked, now_ms)
    }
}
