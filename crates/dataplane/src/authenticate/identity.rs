//! One identity of the configuration, compiled: what it reads, by which keys it judges.

use std::net::IpAddr;
use std::sync::Arc;

use super::api_keys::{ApiKeys, Hashing};
use super::cache::{NewEntry, Proof, TokenCache, Wanted};
use super::certificate::CertificateIdentity;
use super::claims::{Accepted, ClaimRules, issuer_of};
use super::key_store::{Current, KeyStore};
use super::stored_identity::StoredIdentity;
use super::token::{MAX_TOKEN, Token};
use super::token_keys::TokenKeys;
use crate::caller::{Caller, CallerKind};
use crate::refusal::{CredentialFault, CredentialKind, Refusal, Unjudged};
use crate::snapshot::document::{
    ApiKeyDocument, IdentityDocument, IdentityKindDocument, JwtDocument, KeyStoreDocument,
};
use crate::tls::ClientCertificate;

pub(super) struct Identity {
    index: u32,
    name: Box<str>,
    pub(super) header: Box<[u8]>,
    pub(super) kind: Kind,
}

pub(super) enum Kind {
    Jwt(JwtIdentity),
    ApiKey(ApiKeyIdentity),
    StoredApiKey(StoredIdentity),
    Certificate(CertificateIdentity),
}

pub(super) struct JwtIdentity {
    /// Changes when anything about the identity does, so that no cache mixes two meanings of one token.
    generation: u64,
    /// The value is `Bearer <token>` and not the bare token.
    is_bearer: bool,
    rules: ClaimRules,
    keys: Current<TokenKeys>,
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

impl Identity {
    fn compile(index: u32, document: &IdentityDocument, sources: Sources<'_>) -> Result<Self, String> {
        let store = sources.store;
        let generation = store.generation_of(&document.name, &format!("{index} {:?}", document.kind));
        let (header, kind) = match &document.kind {
            IdentityKindDocument::Jwt(jwt) => {
                let keys = JwtIdentity::keys(&document.name, jwt, generation, store)?;
                (&jwt.header, Kind::Jwt(JwtIdentity::compile(jwt, generation, keys)))
            }
            IdentityKindDocument::ApiKey(api_key) if api_key.stored => {
                let document = sources.key_store.ok_or("there is no key store")?;
                let stored = StoredIdentity::compile(document, Arc::clone(store.stored()));
                (&api_key.header, Kind::StoredApiKey(stored))
            }
            IdentityKindDocument::ApiKey(api_key) => {
                let keys = ApiKeyIdentity::keys(&document.name, api_key, store)?;
                let hashing = Hashing::compile(api_key.pepper.as_deref());
                (&api_key.header, Kind::ApiKey(ApiKeyIdentity { hashing, keys }))
            }
            IdentityKindDocument::Mtls(mtls) => {
                (&String::new(), Kind::Certificate(CertificateIdentity::compile(mtls)?))
            }
        };
        Ok(Self { index, name: document.name.as_str().into(), header: header.as_bytes().into(), kind })
    }

    pub(super) fn refusal(&self, failure: Failure) -> Refusal {
        let identity = self.index;
        let fault = match failure {
            Failure::Unjudged(cause) => return Refusal::AuthenticationUnavailable { identity, cause },
            Failure::NotMeant => CredentialFault::WrongIssuer,
            Failure::Fault(fault) => fault,
        };
        Refusal::Unauthenticated { kind: self.kind.credential(), identity: Some(identity), fault }
    }

    /// Is there no token that both could accept? Two different issuers say so.
    pub(super) fn cannot_share_with(&self, other: &Self) -> bool {
        match (&self.kind, &other.kind) {
            (Kind::Jwt(one), Kind::Jwt(another)) => {
                let (one, another) = (one.rules.issuer(), another.rules.issuer());
                one.is_some() && another.is_some() && one != another
            }
            (Kind::Jwt(_) | Kind::ApiKey(_) | Kind::StoredApiKey(_) | Kind::Certificate(_), _) => false,
        }
    }

    pub(super) fn remembered(&self, attempt: &mut Attempt<'_>) -> Option<Arc<Caller>> {
        match &self.kind {
            Kind::Jwt(jwt) => jwt.remembered(attempt),
            Kind::ApiKey(_) | Kind::StoredApiKey(_) | Kind::Certificate(_) => None,
        }
    }

    /// `issuer`: what the token says of itself, where there is a choice of identities.
    pub(super) fn identify(
        &self,
        attempt: &mut Attempt<'_>,
        issuer: Option<&str>,
    ) -> Result<Arc<Caller>, Failure> {
        match &self.kind {
            Kind::Jwt(jwt) if issuer.is_some() && !jwt.rules.may_accept(issuer) => Err(Failure::NotMeant),
            Kind::Jwt(jwt) => jwt.verify(self.index, attempt),
            Kind::ApiKey(api_key) => api_key.identify(self.index, attempt),
            Kind::StoredApiKey(stored) => stored.identify(self.index, attempt),
            // No header carries it; see `certified`.
            Kind::Certificate(_) => Err(Failure::Fault(CredentialFault::Missing)),
        }
    }
}

impl Identity {
    /// Judges the certificate of the connection.
    pub(super) fn certified(
        &self,
        certificate: &ClientCertificate,
        now_ms: u64,
    ) -> Result<Arc<Caller>, Failure> {
        match &self.kind {
            Kind::Certificate(kind) => Ok(kind.identify(self.index, certificate, now_ms)?),
            Kind::Jwt(_) | Kind::ApiKey(_) | Kind::StoredApiKey(_) => Err(Failure::NotMeant),
        }
    }
}

impl Kind {
    pub(super) fn credential(&self) -> CredentialKind {
        match self {
            Self::Jwt(_) => CredentialKind::Token,
            Self::ApiKey(_) | Self::StoredApiKey(_) => CredentialKind::ApiKey,
            Self::Certificate(_) => CredentialKind::Certificate,
        }
    }
}

impl JwtIdentity {
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

    fn compile(document: &JwtDocument, generation: u64, keys: Current<TokenKeys>) -> Self {
        let (is_bearer, rules) = (document.header == "authorization", ClaimRules::compile(document));
        Self { generation, is_bearer, rules, keys }
    }

    fn remembered(&self, attempt: &mut Attempt<'_>) -> Option<Arc<Caller>> {
        let keys = self.keys.load().as_ref()?.generation;
        let token = self.token(attempt.credential).ok()?;
        let hash = attempt.hash(token)?;
        attempt.cache.get(hash, token, Proof { identity: self.generation, keys }, attempt.now_ms)
    }

    fn verify(&self, index: u32, attempt: &mut Attempt<'_>) -> Result<Arc<Caller>, Failure> {
        // Without keys a good token and a bad one look alike, so neither is called bad.
        let current = self.keys.load();
        let keys = current.as_ref().filter(|keys| !keys.is_empty()).ok_or(NO_KEYS)?;
        let bytes = self.token(attempt.credential)?;
        let token = Token::read(bytes)?;
        keys.verify(&token)?;
        let accepted = self.rules.check(&token.claims()?, attempt.now_ms)?;
        let (valid_from_ms, valid_until_ms) = (accepted.valid_from_ms, accepted.valid_until_ms);
        let caller = user(index, accepted);
        if let Some(hash) = attempt.hash(bytes) {
            let proof = Proof { identity: self.generation, keys: keys.generation };
            let entry =
                NewEntry { hash, token: bytes, proof, valid_from_ms, valid_until_ms, caller: &caller };
            attempt.cache.insert(entry, attempt.now_ms);
        }
        Ok(Arc::new(caller))
    }

    fn token<'a>(&self, value: &'a [u8]) -> Result<&'a [u8], CredentialFault> {
        token_of(value, self.is_bearer)
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
        let hash = self.hashing.hash(attempt.credential)?;
        Ok(keys.caller(&hash, index, attempt.now_unix_ms())?)
    }
}

fn user(index: u32, accepted: Accepted) -> Caller {
    Caller { user: accepted.user, ..Caller::new(CallerKind::User, Some(index), accepted.scopes) }
}

fn token_of(value: &[u8], is_bearer: bool) -> Result<&[u8], CredentialFault> {
    if !is_bearer {
        return Ok(value);
    }
    let (scheme, token) = value.split_at_checked(b"Bearer ".len()).ok_or(CredentialFault::Malformed)?;
    if scheme.eq_ignore_ascii_case(b"Bearer ") { Ok(token) } else { Err(CredentialFault::Malformed) }
}

/// One credential on its way through the identities that may know it.
pub(super) struct Attempt<'a> {
    credential: &'a [u8],
    client: IpAddr,
    cache: &'a mut TokenCache,
    now_ms: i64,
    hash: Option<u64>,
}

impl<'a> Attempt<'a> {
    pub(super) fn new(
        credential: &'a [u8],
        client: IpAddr,
        cache: &'a mut TokenCache,
        now_unix_ms: u64,
    ) -> Self {
        let now_ms = i64::try_from(now_unix_ms).unwrap_or(i64::MAX);
        Self { credential, client, cache, now_ms, hash: None }
    }

    pub(super) fn credential(&self) -> &'a [u8] {
        self.credential
    }

    /// Where the request comes from.
    pub(super) fn client(&self) -> IpAddr {
        self.client
    }

    pub(super) fn now_unix_ms(&self) -> u64 {
        u64::try_from(self.now_ms).unwrap_or(u64::MAX)
    }

    /// Leaves word that this has to be looked up.
    pub(super) fn want(&mut self, wanted: Wanted) {
        self.cache.want(wanted);
    }

    /// The hash in the cache, made once for all identities. `None` where a token is too long to be worth it.
    fn hash(&mut self, token: &[u8]) -> Option<u64> {
        if token.len() > MAX_TOKEN {
            return None;
        }
        Some(*self.hash.get_or_insert_with(|| self.cache.hash(token)))
    }

    /// Unverified, and read only where several identities could be meant; what is wrong with the token is left for
    /// the identity that judges it.
    pub(super) fn issuer_to_choose_by(&self, identities: usize) -> Option<String> {
        if identities < 2 {
            return None;
        }
        let bytes = token_of(self.credential, true).unwrap_or(self.credential);
        let claims = Token::read(bytes).ok()?.claims().ok()?;
        issuer_of(&claims).ok()?.map(str::to_owned)
    }
}
