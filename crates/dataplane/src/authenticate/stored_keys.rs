//! API keys of a store, as far as it was asked for them: good ones and, apart from them, those that it refused.
//! Shared by all workers, so that what is withdrawn is gone from the next request of each.

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use super::api_keys::ApiKey;
use super::askers::Askers;
use super::generations::{Generations, Hashed, KeyedHash};
use super::key_uses::{KeyUse, Uses};
use super::shards::{SHARDS, Shards, lock};
use crate::caller::Caller;
use crate::refusal::CredentialFault;
use crate::snapshot::document::{ApiKeyEntryDocument, KeyRefusalDocument, KeyStoreDocument};

/// Uses of forgotten keys that wait to be told; more are lost.
const MAX_SPILLED: usize = 4_096;

struct Known {
    key: ApiKey,
    /// On behalf of the identity that asked first; of another one it is made anew.
    caller: Arc<Caller>,
    fresh_until_ms: u64,
    uses: Uses,
}

struct Refused {
    hash: KeyedHash,
    fault: CredentialFault,
    until_ms: u64,
    /// Which key it is, where the store knows it: one that has expired may be given more time.
    id: Option<Box<str>>,
}

impl Hashed for Known {
    fn hash(&self) -> &KeyedHash {
        &self.key.hash
    }
}

impl Hashed for Refused {
    fn hash(&self) -> &KeyedHash {
        &self.hash
    }
}

#[derive(Default)]
struct Shard {
    known: Generations<Known>,
    refused: Generations<Refused>,
    spilled: Vec<KeyUse>,
}

impl Shard {
    /// Uses of keys that are forgotten count all the same.
    fn spill(&mut self, forgotten: impl IntoIterator<Item = Known>) {
        for mut known in forgotten {
            let told = known.uses.take(&known.key.id);
            self.spilled.extend(told.filter(|_| self.spilled.len() < MAX_SPILLED));
        }
    }
}

/// Bounds of the configuration, which may change while keys are known.
#[derive(Default)]
struct Bounds {
    keys: AtomicUsize,
    refused: AtomicUsize,
    ttl_ms: AtomicU64,
    refused_ttl_ms: AtomicU64,
}

/// When something was learned, and how long it may be believed: `None` for as long as the configuration says.
#[derive(Clone, Copy, Debug)]
pub struct Believed {
    pub now_ms: u64,
    pub for_ms: Option<u64>,
}

impl Believed {
    fn until(self, most_ms: &AtomicU64) -> u64 {
        let most = most_ms.load(Relaxed);
        self.now_ms.saturating_add(self.for_ms.map_or(most, |given| given.min(most)))
    }
}

/// That the store refuses a key, and which, where it knows that.
#[derive(Clone, Copy, Debug)]
pub struct KeyRefusal<'a> {
    pub why: KeyRefusalDocument,
    pub id: Option<&'a str>,
}

/// How full it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoredKeysSize {
    pub known: usize,
    pub refused: usize,
    pub evicted: u64,
}

#[derive(Default)]
pub struct StoredKeys {
    shards: Shards<Shard>,
    bounds: Bounds,
    evicted: AtomicU64,
    askers: Mutex<Askers>,
}

impl StoredKeys {
    /// Follows the configuration. What is known stays; what is too much goes when more is learned.
    pub fn configure(&self, document: &KeyStoreDocument) {
        self.bounds.keys.store(document.cache_keys as usize, Relaxed);
        self.bounds.refused.store(document.cache_refused as usize, Relaxed);
        self.bounds.ttl_ms.store(document.cache_ttl_ms, Relaxed);
        self.bounds.refused_ttl_ms.store(document.refused_ttl_ms, Relaxed);
    }

    /// The caller that a key of this hash proves; `None` where the store has to be asked. Counts the use.
    pub(super) fn find(
        &self,
        hash: &KeyedHash,
        identity: u32,
        client: IpAddr,
        now_ms: u64,
    ) -> Option<Result<Arc<Caller>, CredentialFault>> {
        let mut shard = self.shards.at(hash);
        if let Some(known) = shard.known.find(hash).filter(|known| now_ms < known.fresh_until_ms) {
            if now_ms >= known.key.expires_at_ms {
                return Some(Err(CredentialFault::Expired));
            }
            known.uses.count(client, now_ms);
            if known.caller.identity != Some(identity) {
                return Some(Ok(Arc::new(known.key.caller(identity))));
            }
            return Some(Ok(Arc::clone(&known.caller)));
        }
        let refused = shard.refused.find(hash).filter(|refused| now_ms < refused.until_ms)?;
        Some(Err(refused.fault))
    }

    /// What the store says of a key: an entry, or why it is refused. Refuses entries that do not compile or have another
    /// hash.
    pub fn learn(
        &self,
        hash: &str,
        found: Result<&ApiKeyEntryDocument, KeyRefusal<'_>>,
        believed: Believed,
    ) -> Result<(), String> {
        let hash = super::api_keys::hash_from_hex(hash).ok_or("the hash is none")?;
        match found {
            Ok(entry) => self.know(ApiKey::compile(entry)?, &hash, believed),
            Err(refusal) => {
                let until_ms = believed.until(&self.bounds.refused_ttl_ms);
                let id = refusal.id.map(Into::into);
                let refused = Refused { hash, fault: fault_of(refusal.why), until_ms, id };
                let most = self.bounds.refused.load(Relaxed) / SHARDS;
                let mut shard = self.shards.at(&hash);
                let gone = shard.known.remove(&hash);
                shard.spill(gone);
                shard.refused.insert(refused, most);
                Ok(())
            }
        }
    }

    fn know(&self, key: ApiKey, hash: &KeyedHash, believed: Believed) -> Result<(), String> {
        if key.hash != *hash {
            return Err("the entry is of another key".to_owned());
        }
        let fresh_until_ms = believed.until(&self.bounds.ttl_ms);
        let caller = Arc::new(key.caller(0));
        let mut shard = self.shards.at(hash);
        shard.refused.remove(hash);
        let before = shard.known.remove(hash);
        shard.spill(before);
        let known = Known { key, caller, fresh_until_ms, uses: Uses::default() };
        let forgotten = shard.known.insert(known, self.bounds.keys.load(Relaxed) / SHARDS);
        self.evicted.fetch_add(forgotten.len() as u64, Relaxed);
        shard.spill(forgotten);
        Ok(())
    }

    /// Forgets keys by their ids, or everything: the next use of each asks the store. Gives how many were known.
    pub fn forget(&self, ids: Option<&HashSet<String>>) -> usize {
        let mut count = 0;
        for mut shard in self.shards.iter() {
            let named = |known: &Known| ids.is_none_or(|ids| ids.contains(&*known.key.id));
            let forgotten = shard.known.extract(named);
            count += forgotten.len();
            shard.spill(forgotten);
            shard.refused.extract(|refused| {
                ids.is_none_or(|ids| refused.id.as_ref().is_some_and(|id| ids.contains(&**id)))
            });
        }
        count
    }

    /// Uses since the last call, one for each key that was used.
    pub fn take_uses(&self) -> Vec<KeyUse> {
        let mut taken = Vec::new();
        for mut shard in self.shards.iter() {
            taken.append(&mut shard.spilled);
            taken.extend(shard.known.iter_mut().filter_map(|known| known.uses.take(&known.key.id)));
        }
        taken
    }

    /// May one more key be looked up for a client of this address? At most `most` in a second.
    pub fn may_ask(&self, client: IpAddr, most: u32, now_ms: u64) -> bool {
        lock(&self.askers).may_ask(client, most, now_ms)
    }

    pub fn size(&self) -> StoredKeysSize {
        let mut size = StoredKeysSize { evicted: self.evicted.load(Relaxed), ..Default::default() };
        for shard in self.shards.iter() {
            size.known += shard.known.len();
            size.refused += shard.refused.len();
        }
        size
    }
}

fn fault_of(refusal: KeyRefusalDocument) -> CredentialFault {
    match refusal {
        KeyRefusalDocument::Unknown => CredentialFault::UnknownKey,
        KeyRefusalDocument::Revoked => CredentialFault::Revoked,
        KeyRefusalDocument::Expired => CredentialFault::Expired,
    }
}
