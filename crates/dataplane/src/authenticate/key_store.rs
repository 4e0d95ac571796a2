//! Keys that Python pushes, whoever names the identity first: the push or a snapshot. Outlives snapshots.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use arc_swap::ArcSwapOption;
use aws_lc_rs::digest;
use serde::Deserialize;
use serde_json::Value;

use super::api_keys::ApiKeys;
use super::opaque::OpaqueTokens;
use super::passwords::Passwords;
use super::replays::Replays;
use super::revocations::Revocations;
use super::shards::lock;
use super::stored_keys::StoredKeys;
use super::token_keys::TokenKeys;
use crate::session::Provider;
use crate::snapshot::document::{ApiKeysDocument, ProviderDocument};

/// Identities that keys are kept for.
const MAX_IDENTITIES: usize = 1_000;

/// What a stage reads keys through: one pointer, swapped whole, read without a lock.
pub(super) type Current<T> = Arc<ArcSwapOption<T>>;

/// The key sets of identities, shared by all workers. Readers hold what `slot` gave them and never come here.
#[derive(Default)]
pub struct KeyStore {
    slots: Mutex<HashMap<String, Slot>>,
    identities: Mutex<HashMap<String, Stamp>>,
    last_generation: AtomicU64,
    stored: Arc<StoredKeys>,
    revocations: Arc<Revocations>,
    replays: ByIdentity,
    passwords: Arc<Passwords>,
    nonces: ByIdentity,
    /// By identity and issuer.
    opaque: Mutex<HashMap<(String, String), Arc<OpaqueTokens>>>,
}

/// A set is compiled by its shape, so that it can come before the snapshot that says what kind the identity is.
#[derive(Clone, Default)]
pub(super) struct Slot {
    pub(super) token_keys: Current<TokenKeys>,
    pub(super) api_keys: Current<ApiKeys>,
    pub(super) provider: Provider,
}

/// Remembers that an identity is still the same, so that a reload does not empty the token caches.
struct Stamp {
    fingerprint: Vec<u8>,
    generation: u64,
}

/// Other members are ignored, as RFC 7517 demands.
#[derive(Deserialize)]
struct KeysDocument {
    #[serde(default)]
    keys: Option<Vec<Value>>,
    #[serde(default)]
    provider: Option<ProviderDocument>,
}

impl KeyStore {
    pub fn new() -> Self {
        Self::default()
    }

    /// The keys that are looked up one by one.
    pub fn stored(&self) -> &Arc<StoredKeys> {
        &self.stored
    }

    /// Tokens that count no more.
    pub fn revocations(&self) -> &Arc<Revocations> {
        &self.revocations
    }

    /// Proofs that callers of this identity have used: they outlive snapshots, or a reload would let them be used again.
    pub(super) fn replays(&self, identity: &str) -> Result<Arc<Replays>, String> {
        used(&self.replays, identity)
    }

    /// What an issuer has said of the tokens of this identity. What another one said is forgotten with its last snapshot.
    pub(super) fn opaque(&self, identity: &str, issuer: &str) -> Result<Arc<OpaqueTokens>, String> {
        let key = (identity.to_owned(), issuer.to_owned());
        let mut opaque = lock(&self.opaque);
        if let Some(found) = opaque.get(&key) {
            return Ok(Arc::clone(found));
        }
        opaque.retain(|_, one| Arc::strong_count(one) > 1);
        if opaque.len() >= MAX_IDENTITIES {
            return Err(format!("tokens are kept for {MAX_IDENTITIES} identities at most"));
        }
        let made = Arc::new(OpaqueTokens::new()?);
        opaque.insert(key, Arc::clone(&made));
        Ok(made)
    }

    /// Keeps what an issuer says of a token of this identity; see `OpaqueTokens::learn`.
    pub fn learn_token(
        &self,
        whose: (String, String),
        digest: [u8; 32],
        claims: Option<&str>,
        now_ms: u64,
    ) -> Result<(), String> {
        let found = lock(&self.opaque).get(&whose).cloned();
        found.map_or(Ok(()), |tokens| tokens.learn(digest, claims, now_ms))
    }

    /// Introspected tokens that are remembered: good ones and refused ones.
    pub fn opaque_size(&self) -> (u64, u64) {
        let sizes = lock(&self.opaque);
        sizes.values().map(|one| one.size()).fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
    }

    /// How many proofs are remembered now, and how often there was no room for another.
    pub fn replays_size(&self) -> (u64, u64) {
        size_of(&self.replays)
    }

    /// The passwords that were checked.
    pub fn passwords(&self) -> &Arc<Passwords> {
        &self.passwords
    }

    /// The nonces that callers of this identity have signed; see `replays`.
    pub(super) fn nonces(&self, identity: &str) -> Result<Arc<Replays>, String> {
        used(&self.nonces, identity)
    }

    /// How many nonces are remembered now, and how often there was no room for another.
    pub fn nonces_size(&self) -> (u64, u64) {
        size_of(&self.nonces)
    }

    /// Replaces the keys of an identity: a JWKS, `{"provider": ...}` of one that browsers log in with, or
    /// `{"keys": [...]}` of API keys (told by their `hash`); an empty list
    /// is both. Holds for the next request of every worker. Refuses what does not compile, and keeps the old keys then;
    /// refuses more than 1,000 identities.
    pub fn set(&self, identity: &str, json: &[u8]) -> Result<(), String> {
        let place = |error: String| format!("identity `{identity}`: {error}");
        let document: KeysDocument =
            serde_json::from_slice(json).map_err(|error| place(format!("not a key set: {error}")))?;
        if let Some(provider) = document.provider {
            // One without an address is forgotten: another provider has taken its place, and is not known yet.
            let known = Some(provider).filter(|known| !known.authorization_endpoint.is_empty());
            self.slot(identity)?.provider.store(known.map(Arc::new));
            return Ok(());
        }
        let keys = document.keys.ok_or_else(|| place("not a key set: missing field `keys`".to_owned()))?;
        let is_api_keys = keys.iter().any(|key| key.get("hash").is_some());
        let token_keys = (!is_api_keys)
            .then(|| TokenKeys::compile(&keys, self.next_generation()).map_err(place))
            .transpose()?;
        let api_keys =
            (is_api_keys || keys.is_empty()).then(|| compile_api_keys(json).map_err(place)).transpose()?;
        let slot = self.slot(identity)?;
        if let Some(keys) = token_keys {
            slot.token_keys.store(Some(Arc::new(keys)));
        }
        if let Some(keys) = api_keys {
            slot.api_keys.store(Some(Arc::new(keys)));
        }
        Ok(())
    }

    /// How many keys of the identity's set were skipped: for something else than verifying, or of an unsupported kind.
    pub fn skipped(&self, identity: &str) -> usize {
        let slot = lock(&self.slots).get(identity).cloned();
        slot.and_then(|slot| slot.token_keys.load_full()).map_or(0, |keys| keys.skipped())
    }

    /// Where the keys of this identity are and will be.
    pub(super) fn slot(&self, identity: &str) -> Result<Slot, String> {
        let mut slots = lock(&self.slots);
        if let Some(slot) = slots.get(identity) {
            return Ok(slot.clone());
        }
        if slots.len() >= MAX_IDENTITIES {
            slots.retain(|_, slot| slot.is_in_use());
        }
        if slots.len() >= MAX_IDENTITIES {
            return Err(format!(
                "identity `{identity}`: keys are kept for {MAX_IDENTITIES} identities at most"
            ));
        }
        let slot = Slot::default();
        slots.insert(identity.to_owned(), slot.clone());
        Ok(slot)
    }

    /// The generation of an identity's settings: the same number while the description is the same.
    pub(super) fn generation_of(&self, identity: &str, description: &str) -> u64 {
        // The description may hold secrets, so only its hash is kept.
        let fingerprint = digest::digest(&digest::SHA256, description.as_bytes()).as_ref().to_vec();
        let mut identities = lock(&self.identities);
        if let Some(stamp) = identities.get(identity).filter(|stamp| stamp.fingerprint == fingerprint) {
            return stamp.generation;
        }
        if identities.len() >= MAX_IDENTITIES {
            // Costs cached tokens, never correctness.
            identities.clear();
        }
        let generation = self.next_generation();
        identities.insert(identity.to_owned(), Stamp { fingerprint, generation });
        generation
    }

    fn next_generation(&self) -> u64 {
        self.last_generation.fetch_add(1, Ordering::Relaxed) + 1
    }
}

impl Slot {
    /// Does anybody but the store hold it: a snapshot that is live or being compiled?
    fn is_in_use(&self) -> bool {
        Arc::strong_count(&self.token_keys) > 1
            || Arc::strong_count(&self.api_keys) > 1
            || Arc::strong_count(&self.provider) > 1
    }
}

/// What callers of each identity have used, and may not use again.
type ByIdentity = Mutex<HashMap<String, Arc<Replays>>>;

fn used(all: &ByIdentity, identity: &str) -> Result<Arc<Replays>, String> {
    let mut all = lock(all);
    if all.len() >= MAX_IDENTITIES && !all.contains_key(identity) {
        all.retain(|_, one| Arc::strong_count(one) > 1 || one.size().0 > 0);
    }
    if all.len() >= MAX_IDENTITIES && !all.contains_key(identity) {
        return Err(format!("what was used is kept for {MAX_IDENTITIES} identities at most"));
    }
    Ok(Arc::clone(all.entry(identity.to_owned()).or_default()))
}

fn size_of(all: &ByIdentity) -> (u64, u64) {
    let all = lock(all);
    all.values().map(|one| one.size()).fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
}

fn compile_api_keys(json: &[u8]) -> Result<ApiKeys, String> {
    let document: ApiKeysDocument = serde_json::from_slice(json).map_err(|error| error.to_string())?;
    ApiKeys::compile(&document)
}
