//! One identity of the configuration, compiled: what it reads, by which keys it judges.

use std::sync::Arc;

use super::api_keys::{ApiKeys, Hashing};
use super::attempt::Attempt;
use super::basic::BasicIdentity;
use super::cache::Proof;
use super::certificate::CertificateIdentity;
use super::confirmation;
use super::dpop::Proofs;
use super::key_store::{Current, KeyStore};
use super::opaque::OpaqueIdentity;
use super::session::SessionIdentity;
use super::signature::SignatureIdentity;
use super::source::{Source, token_sources};
use super::standing::Standing;
use super::stored_identity::StoredIdentity;
use super::token::Token;
use super::token_keys::TokenKeys;
use crate::caller::{Caller, Confirmation};
use crate::refusal::{CredentialFault, CredentialKind, Refusal, Unjudged};
use crate::session::Login;
use crate::snapshot::document::{
    ApiKeyDocument, IdentityDocument, IdentityKindDocument, JwtDocument, KeyStoreDocument, PasswordsDocument,
    SignatureDocument,
};

pub(super) struct Identity {
    index: u32,
    name: Box<str>,
    /// Where its credential may be, in the order of preference.
    pub(super) sources: Box<[Source]>,
    pub(super) kind: Kind,
}

pub(super) enum Kind {
    Jwt(Box<JwtIdentity>),
    ApiKey(ApiKeyIdentity),
    StoredApiKey(StoredIdentity),
    Certificate(CertificateIdentity),
    Opaque(Box<OpaqueIdentity>),
    Session(SessionIdentity),
    Basic(BasicIdentity),
    Signature(Box<SignatureIdentity>),
}

pub(super) struct JwtIdentity {
    /// Changes when anything about the identity does, so that no cache mixes two meanings of one token.
    generation: u64,
    /// What `typ` must be, in lower case; `None`: nothing, or what JWTs and access tokens are called.
    types: Option<Box<[String]>>,
    keys: Current<TokenKeys>,
    standing: Standing,
    /// Tokens may be bound to keys.
    proofs: Option<Proofs>,
}

pub(super) struct ApiKeyIdentity {
    hashing: Hashing,
    keys: Current<ApiKeys>,
}

/// Why one identity did not accept a credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// The token says that it is from another issuer.
    NotMeant,
    Fault(CredentialFault),
    Unjudged(Unjudged),
}

impl Failure {
    /// Which of several failures is the answer: the one of the identity that came closest to knowing. Keys that are
    /// missing come first, because that identity might have accepted.
    pub(super) fn weight(self) -> u8 {
        match self {
            Self::NotMeant => 0,
            Self::Fault(fault) => 1 + u8::from(fault != CredentialFault::UnknownKey),
            Self::Unjudged(_) => 3,
        }
    }
}

const NO_KEYS: Failure = Failure::Unjudged(Unjudged::NoKeys);

impl From<CredentialFault> for Failure {
    fn from(fault: CredentialFault) -> Self {
        Self::Fault(fault)
    }
}

/// The identities of a snapshot.
#[derive(Default)]
pub struct Identities {
    list: Vec<Arc<Identity>>,
    /// How the key store is asked, where an identity has its keys there.
    pub key_store: Option<KeyStoreDocument>,
    /// How passwords are checked, where an identity has them.
    pub passwords: Option<PasswordsDocument>,
}

impl Identities {
    /// The error names the identity and where it stands in the user's files.
    pub fn compile(
        documents: &[IdentityDocument],
        key_store: &Option<KeyStoreDocument>,
        store: &KeyStore,
    ) -> Result<Self, String> {
        let sources = Sources { key_store: key_store.as_ref(), store };
        let mut identities = Self { key_store: key_store.clone(), ..Self::default() };
        for (index, document) in (0..).zip(documents) {
            let place = |error: String| format!("{}: identity `{}`: {error}", document.at, document.name);
            if identities.find(&document.name).is_some() {
                return Err(place("the name is repeated".to_owned()));
            }
            identities.list.push(Arc::new(Identity::compile(index, document, sources).map_err(place)?));
        }
        Ok(identities)
    }

    /// Of an identity that browsers log in with.
    pub fn login(&self, index: u32) -> Option<&Arc<Login>> {
        self.list.get(index as usize)?.login()
    }

    pub fn login_named(&self, name: &str) -> Option<&Arc<Login>> {
        self.find(name)?.login()
    }

    /// The identity at this index, where its tokens are introspected.
    pub fn opaque(&self, index: u32) -> Option<&OpaqueIdentity> {
        if let Kind::Opaque(opaque) = &self.list.get(index as usize)?.kind { Some(opaque) } else { None }
    }

    /// How passwords are checked from now on.
    pub fn checking(self, passwords: Option<PasswordsDocument>) -> Self {
        Self { passwords, ..self }
    }

    pub(super) fn find(&self, name: &str) -> Option<&Arc<Identity>> {
        self.list.iter().find(|identity| *identity.name == *name)
    }
}

/// Where identities get their keys from.
#[derive(Clone, Copy)]
struct Sources<'a> {
    key_store: Option<&'a KeyStoreDocument>,
    store: &'a KeyStore,
}

fn signing(
    named: (u32, &str),
    document: &SignatureDocument,
    store: &KeyStore,
) -> Result<(Vec<Source>, Kind), String> {
    let identity = SignatureIdentity::compile(named, document, store.nonces(named.1)?)?;
    Ok((vec![Source::whole("signature-input")], Kind::Signature(Box::new(identity))))
}

fn stored(sources: Sources<'_>) -> Result<Kind, String> {
    let document = sources.key_store.ok_or("there is no key store")?;
    Ok(Kind::StoredApiKey(StoredIdentity::compile(document, Arc::clone(sources.store.stored()))))
}

impl Identity {
    fn compile(index: u32, document: &IdentityDocument, sources: Sources<'_>) -> Result<Self, String> {
        let store = sources.store;
        let generation = store.generation_of(&document.name, &format!("{index} {:?}", document.kind));
        let (sources, kind) = match &document.kind {
            IdentityKindDocument::Jwt(jwt) => {
                let keys = JwtIdentity::keys(&document.name, jwt, generation, store)?;
                let standing = Standing::compile(&document.name, jwt, store.revocations())?;
                let (types, proofs) = (types(jwt), JwtIdentity::proofs(&document.name, jwt, store)?);
                (
                    token_sources(jwt),
                    Kind::Jwt(Box::new(JwtIdentity { generation, types, keys, standing, proofs })),
                )
            }
            IdentityKindDocument::ApiKey(api_key) if api_key.stored => {
                (vec![Source::whole(&api_key.header)], stored(sources)?)
            }
            IdentityKindDocument::ApiKey(api_key) => {
                let keys = ApiKeyIdentity::keys(&document.name, api_key, store)?;
                let hashing = Hashing::compile(api_key.pepper.as_deref());
                let kind = Kind::ApiKey(ApiKeyIdentity { hashing, keys });
                (vec![Source::whole(&api_key.header)], kind)
            }
            IdentityKindDocument::Introspection(settings) => {
                let opaque = OpaqueIdentity::compile(&document.name, settings, generation, store)?;
                (token_sources(&settings.tokens), Kind::Opaque(Box::new(opaque)))
            }
            IdentityKindDocument::Mtls(mtls) => {
                (vec![Source::Certificate], Kind::Certificate(CertificateIdentity::compile(mtls)?))
            }
            IdentityKindDocument::Oidc(oidc) => {
                let session = SessionIdentity::compile((index, &document.name), oidc, generation, store)?;
                (vec![session.source()], Kind::Session(session))
            }
            IdentityKindDocument::Basic(basic) => {
                let identity = BasicIdentity::compile(index, basic, Arc::clone(store.passwords()))?;
                (vec![Source::Authorization("Basic")], Kind::Basic(identity))
            }
            IdentityKindDocument::Signature(signature) => signing((index, &document.name), signature, store)?,
        };
        Ok(Self { index, name: document.name.as_str().into(), sources: sources.into(), kind })
    }

    pub(super) fn login(&self) -> Option<&Arc<Login>> {
        if let Kind::Session(session) = &self.kind { Some(&session.login) } else { None }
    }

    pub(super) fn refusal(&self, failure: Failure) -> Refusal {
        let identity = self.index;
        let fault = match failure {
            Failure::Unjudged(cause) => return Refusal::AuthenticationUnavailable { identity, cause },
            Failure::NotMeant => CredentialFault::WrongIssuer,
            Failure::Fault(fault) => fault,
        };
        Refusal::Unauthenticated { kind: self.kind.demanded(), identity: Some(identity), fault }
    }

    /// Is there no token that both could accept? Two different issuers say so.
    pub(super) fn cannot_share_with(&self, other: &Self) -> bool {
        match (&self.kind, &other.kind) {
            (Kind::Jwt(one), Kind::Jwt(another)) => one.standing.rules.excludes(&another.standing.rules),
            (
                Kind::Jwt(_)
                | Kind::Opaque(_)
                | Kind::ApiKey(_)
                | Kind::StoredApiKey(_)
                | Kind::Certificate(_)
                | Kind::Session(_)
                | Kind::Basic(_)
                | Kind::Signature(_),
                _,
            ) => false,
        }
    }

    /// The caller, where whoever sends his token has what it is bound to.
    pub(super) fn confirmed(
        &self,
        caller: Arc<Caller>,
        attempt: &Attempt<'_>,
    ) -> Result<Arc<Caller>, Refusal> {
        if caller.confirmation.is_none() && !attempt.has_proof() {
            return Ok(caller);
        }
        match self.confirm(caller.confirmation.as_deref(), attempt) {
            Ok(()) => Ok(caller),
            Err(failure) => Err(self.refusal(failure)),
        }
    }

    fn confirm(&self, confirmation: Option<&Confirmation>, attempt: &Attempt<'_>) -> Result<(), Failure> {
        if let Some(certificate) = confirmation.and_then(|bound| bound.certificate.as_ref()) {
            confirmation::check_certificate(certificate, attempt.request(), attempt.now_unix_ms())?;
        }
        let key = confirmation.and_then(|bound| bound.key.as_ref());
        match (key, attempt.has_proof(), self.kind.proofs()) {
            (None, false, _) => Ok(()),
            // Under another scheme a token that was stolen could be used without its key.
            (Some(key), true, Some(proofs)) => proofs.check(key, attempt),
            (Some(_), false, _) | (Some(_), true, None) => Err(CredentialFault::NoProof.into()),
            (None, true, _) => Err(CredentialFault::NotBound.into()),
        }
    }

    pub(super) fn remembered(&self, attempt: &mut Attempt<'_>) -> Option<Arc<Caller>> {
        match &self.kind {
            Kind::Jwt(jwt) => jwt.remembered(attempt),
            Kind::Opaque(opaque) => opaque.remembered(attempt),
            Kind::ApiKey(_)
            | Kind::StoredApiKey(_)
            | Kind::Certificate(_)
            | Kind::Session(_)
            | Kind::Basic(_)
            | Kind::Signature(_) => None,
        }
    }

    /// `issuer`: what the token says of itself, where there is a choice of identities.
    pub(super) fn identify(
        &self,
        attempt: &mut Attempt<'_>,
        issuer: Option<&str>,
    ) -> Result<Arc<Caller>, Failure> {
        match &self.kind {
            Kind::Jwt(jwt) if issuer.is_some() && !jwt.standing.rules.may_accept(issuer) => {
                Err(Failure::NotMeant)
            }
            Kind::Jwt(jwt) => jwt.verify(self.index, attempt),
            Kind::Opaque(opaque) if issuer.is_some() && !opaque.standing.rules.may_accept(issuer) => {
                Err(Failure::NotMeant)
            }
            Kind::Opaque(opaque) => opaque.identify(self.index, attempt),
            Kind::ApiKey(api_key) => api_key.identify(self.index, attempt),
            Kind::StoredApiKey(stored) => stored.identify(self.index, attempt),
            Kind::Certificate(kind) => kind.identify(self.index, attempt),
            Kind::Session(session) => session.identify(attempt),
            Kind::Basic(basic) => basic.identify(self.index, attempt),
            Kind::Signature(signature) => signature.identify(attempt),
        }
    }
}

impl Kind {
    fn proofs(&self) -> Option<&Proofs> {
        match self {
            Self::Jwt(jwt) => jwt.proofs.as_ref(),
            Self::Opaque(_)
            | Self::ApiKey(_)
            | Self::StoredApiKey(_)
            | Self::Certificate(_)
            | Self::Session(_)
            | Self::Basic(_)
            | Self::Signature(_) => None,
        }
    }

    /// What a client is told to send.
    fn demanded(&self) -> CredentialKind {
        match self.proofs() {
            Some(proofs) => CredentialKind::BoundToken { alone: !proofs.is_optional },
            None => self.credential(),
        }
    }

    /// Identities of one of these kinds may be meant by one credential.
    pub(super) fn credential(&self) -> CredentialKind {
        match self {
            Self::Jwt(_) | Self::Opaque(_) => CredentialKind::Token,
            Self::ApiKey(_) | Self::StoredApiKey(_) => CredentialKind::ApiKey,
            Self::Certificate(_) => CredentialKind::Certificate,
            Self::Session(_) => CredentialKind::Session,
            Self::Basic(_) => CredentialKind::Password,
            Self::Signature(_) => CredentialKind::Signature,
        }
    }
}

impl JwtIdentity {
    fn proofs(name: &str, document: &JwtDocument, store: &KeyStore) -> Result<Option<Proofs>, String> {
        let Some(dpop) = &document.dpop else { return Ok(None) };
        Ok(Some(Proofs::compile(dpop, document.leeway_ms, store.replays(name)?)))
    }

    fn keys(
        name: &str,
        document: &JwtDocument,
        generation: u64,
        store: &KeyStore,
    ) -> Result<Current<TokenKeys>, String> {
        let Some(inline) = &document.keys else { return Ok(store.slot(name)?.token_keys) };
        let keys = TokenKeys::compile(&inline.keys, generation)?;
        Ok(Arc::new(arc_swap::ArcSwapOption::from_pointee(keys)))
    }

    fn remembered(&self, attempt: &mut Attempt<'_>) -> Option<Arc<Caller>> {
        let keys = self.keys.load().as_ref()?.generation;
        attempt.remembered(Proof { identity: self.generation, keys }, &self.standing.watch)
    }

    fn verify(&self, index: u32, attempt: &mut Attempt<'_>) -> Result<Arc<Caller>, Failure> {
        // Without keys a good token and a bad one look alike, so neither is called bad.
        let current = self.keys.load();
        let keys = current.as_ref().filter(|keys| !keys.is_empty()).ok_or(NO_KEYS)?;
        let token = Token::read(attempt.credential())?;
        token.check_type(self.types.as_deref())?;
        keys.verify(&token)?;
        let judged = self.standing.judge(index, token.claims()?, attempt.now_ms())?;
        Ok(attempt.remember(Proof { identity: self.generation, keys: keys.generation }, judged))
    }
}

impl ApiKeyIdentity {
    fn keys(name: &str, document: &ApiKeyDocument, store: &KeyStore) -> Result<Current<ApiKeys>, String> {
        let Some(inline) = &document.keys else { return Ok(store.slot(name)?.api_keys) };
        Ok(Arc::new(arc_swap::ArcSwapOption::from_pointee(ApiKeys::compile(inline)?)))
    }

    /// An empty set is an answer here: every key was withdrawn.
    fn identify(&self, index: u32, attempt: &Attempt<'_>) -> Result<Arc<Caller>, Failure> {
        let current = self.keys.load();
        let keys = current.as_ref().ok_or(NO_KEYS)?;
        let hash = self.hashing.hash(attempt.credential())?;
        Ok(keys.caller(&hash, index, attempt.now_unix_ms())?)
    }
}

fn types(document: &JwtDocument) -> Option<Box<[String]>> {
    let types = document.types.as_ref()?;
    Some(types.iter().map(|one| one.to_ascii_lowercase()).collect())
}
