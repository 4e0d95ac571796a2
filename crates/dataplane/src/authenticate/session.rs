//! Callers who have logged in with their browser. A cookie that proves nobody is no wrong credential but none at all: its
//! session has ended, and the browser cannot know.

use std::sync::Arc;

use super::attempt::Attempt;
use super::cache::Proof;
use super::identity::Failure;
use super::key_store::KeyStore;
use super::source::Source;
use super::standing::{Judged, Marks, Watch};
use crate::caller::{Ambient, Caller, CallerKind, Roles};
use crate::claims::Claims;
use crate::refusal::{CredentialFault, Unjudged};
use crate::session::{Login, Session, Standing};
use crate::snapshot::document::OidcDocument;

/// A provider that could not be asked is left alone by this session for so long.
const PAUSE_MS: u64 = 5_000;

/// What came of asking the provider while the request waited.
#[derive(Clone, Debug)]
pub enum Renewed {
    /// Takes the place of the session that the request came with.
    Session(Arc<Session>),
    /// The provider could not be asked: the session goes on as long as it may.
    Unasked(Unjudged),
    /// The provider has ended it.
    Ended,
}

pub(super) struct SessionIdentity {
    pub(super) login: Arc<Login>,
    /// Changes when anything about the identity does.
    generation: u64,
    watch: Watch,
}

impl SessionIdentity {
    /// `named`: index and name of the identity.
    pub(super) fn compile(
        named: (u32, &str),
        document: &OidcDocument,
        generation: u64,
        store: &KeyStore,
    ) -> Result<Self, String> {
        let (_, name) = named;
        let login = Arc::new(Login::compile(named, document, store.slot(name)?.provider)?);
        Ok(Self { login, generation, watch: Watch::new(name, store.revocations()) })
    }

    pub(super) fn source(&self) -> Source {
        Source::Cookie(self.login.jar.name.clone())
    }

    pub(super) fn identify(&self, attempt: &mut Attempt<'_>) -> Result<Arc<Caller>, Failure> {
        match attempt.renewed() {
            Some(Renewed::Ended) => Err(CredentialFault::Revoked.into()),
            Some(Renewed::Session(session)) => self.go_on(session, attempt.now_unix_ms()),
            Some(Renewed::Unasked(cause)) => self.judge(attempt, Some(*cause)),
            None => match attempt.remembered(self.proof(), &self.watch) {
                Some(caller) => Ok(caller),
                None => self.judge(attempt, None),
            },
        }
    }

    /// What the provider has just granted is good, however soon it ends.
    fn go_on(&self, session: &Session, now_ms: u64) -> Result<Arc<Caller>, Failure> {
        self.check_revocations(session, now_ms)?;
        match self.login.standing(session, now_ms) {
            Standing::Over => Err(CredentialFault::Expired.into()),
            Standing::Good { .. } | Standing::Unmarked | Standing::Due { .. } | Standing::Stale => {
                Ok(Arc::new(self.caller(session, false)))
            }
        }
    }

    /// `unasked`: why the provider cannot be asked, where that was tried.
    fn judge(&self, attempt: &mut Attempt<'_>, unasked: Option<Unjudged>) -> Result<Arc<Caller>, Failure> {
        let session = self.login.open(attempt.credential()).ok_or(CredentialFault::BadSignature)?;
        let now_ms = attempt.now_unix_ms();
        // Read first: what is added meanwhile has another version.
        let proof = self.proof();
        self.check_revocations(&session, now_ms)?;
        match (self.login.standing(&session, now_ms), unasked) {
            (Standing::Over, _) => Err(CredentialFault::Expired.into()),
            (Standing::Due { .. } | Standing::Stale, None) => Err(Failure::Unjudged(Unjudged::SessionDue)),
            (Standing::Stale, Some(cause)) => Err(Failure::Unjudged(cause)),
            (Standing::Unmarked, _) => Ok(Arc::new(self.caller(&session, true))),
            (Standing::Good { until_ms }, _) => Ok(self.remember(attempt, &session, (proof, until_ms))),
            (Standing::Due { until_ms }, Some(_)) => {
                let until_ms = until_ms.min(now_ms.saturating_add(PAUSE_MS));
                Ok(self.remember(attempt, &session, (proof, until_ms)))
            }
        }
    }

    fn remember(&self, attempt: &mut Attempt<'_>, session: &Session, known: (Proof, u64)) -> Arc<Caller> {
        let (proof, until_ms) = known;
        let judged = Judged {
            caller: self.caller(session, false),
            valid_from_ms: attempt.now_ms(),
            valid_until_ms: i64::try_from(until_ms).unwrap_or(i64::MAX),
            marks: Marks::default(),
            revocations: proof.keys,
        };
        attempt.remember(proof, judged)
    }

    /// A session can be revoked by more than a token, so that whatever is revoked is held against it again.
    fn proof(&self) -> Proof {
        Proof { identity: self.generation, keys: self.watch.version() }
    }

    /// By its id or its user, or by what the provider calls the two.
    fn check_revocations(&self, session: &Session, now_ms: u64) -> Result<(), CredentialFault> {
        let now_ms = i64::try_from(now_ms).unwrap_or(i64::MAX);
        let marks = |id: &str| {
            let issued_ms = i64::try_from(session.began_ms).ok();
            Marks { id: Some(id.into()), issued_ms }
        };
        let is_revoked = |user: &str, id: &str| self.watch.is_revoked(Some(user), &marks(id), now_ms);
        let own = || is_revoked(&session.named.user, &session.id);
        let theirs = || {
            let name = session.named.provider_session.as_deref().unwrap_or_default();
            is_revoked(session.subject(), &format!("sid:{name}"))
        };
        // Most nodes have revoked nothing.
        let is_over = self.watch.version() > 0 && (own() || theirs());
        if is_over { Err(CredentialFault::Revoked) } else { Ok(()) }
    }

    /// `is_due`: the browser is to have a cookie that says when it was seen.
    fn caller(&self, session: &Session, is_due: bool) -> Caller {
        let named = &session.named;
        let shared = |texts: &[String]| texts.iter().map(|text| text.as_str().into()).collect();
        let roles = (!named.roles.is_empty()).then(|| Arc::new(Roles::new(shared(&named.roles))));
        let marked = is_due.then(|| Arc::new(session.clone()));
        let ambient = Ambient { token: Some(session.token.as_str().into()), marked };
        Caller {
            user: Some(named.user.as_str().into()),
            claims: named.claims.clone().map(|claims| Arc::new(Claims::from(claims))),
            roles,
            ambient: Some(Arc::new(ambient)),
            ..Caller::new(CallerKind::User, Some(self.login.identity), shared(&named.scopes))
        }
    }
}
