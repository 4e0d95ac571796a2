//! Tokens whose signature this worker has verified. It saves the cryptography and nothing else: times and the
//! generation of the keys are checked at every use.

use std::hash::BuildHasher;
use std::sync::Arc;

use hashbrown::{DefaultHashBuilder, HashTable};

use super::standing::{Judged, Marks, Watch};
use crate::caller::Caller;
use crate::questions::Secret;

/// No signature is believed for longer than this (requirements, D16).
const MAX_AGE_MS: i64 = 60_000;

/// Bytes of a token's end that its hash is made of: 192 bits of a signature.
const SIGNED: usize = 32;

/// Under which identity and which keys a token was verified. Both numbers are unique within one `KeyStore`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Proof {
    pub(super) identity: u64,
    pub(super) keys: u64,
}

struct Entry {
    hash: u64,
    token: Box<[u8]>,
    proof: Proof,
    valid_from_ms: i64,
    valid_until_ms: i64,
    marks: Marks,
    /// The version of the revocations that it was last held against.
    revocations: u64,
    caller: Arc<Caller>,
}

/// Verified tokens of one worker, at most the capacity given; below 2 it remembers nothing. Belongs to one `KeyStore`.
///
/// Two tables: when the newer is full it becomes the older, and what the older held is forgotten. What is used moves
/// to the newer, so busy tokens stay.
pub struct TokenCache {
    hasher: DefaultHashBuilder,
    newer: HashTable<Entry>,
    older: HashTable<Entry>,
    half: usize,
    anonymous: Arc<Caller>,
    /// What the last decision of this worker would have to ask Python.
    wanted: Option<Wanted>,
}

/// What only Python can tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    Key(WantedKey),
    Password(WantedPassword),
    Token(WantedToken),
}

/// A password that was not checked, or long ago.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WantedPassword {
    /// Index in the snapshot of the identity that wants to know.
    pub identity: u32,
    /// What the outcome is remembered under.
    pub proof: Option<[u8; 32]>,
    /// Which of Python's hashes it has to fit; `None` where there is no such user.
    pub hash: Option<String>,
    pub password: Secret,
}

/// A token whose issuer has to be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WantedToken {
    /// Index in the snapshot of the identity that wants to know.
    pub identity: u32,
    /// What the answer is remembered under.
    pub digest: [u8; 32],
    pub token: Secret,
}

/// An API key that nothing is known of, told by all but itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WantedKey {
    /// Index in the snapshot of the identity that wants to know.
    pub identity: u32,
    /// The public part, by which the store finds it.
    pub prefix: String,
    /// HMAC under the store's secret.
    pub hash: [u8; 32],
    pub sha256: [u8; 32],
}

impl TokenCache {
    pub fn new(capacity: usize) -> Self {
        Self {
            hasher: DefaultHashBuilder::default(),
            newer: HashTable::new(),
            older: HashTable::new(),
            half: capacity / 2,
            anonymous: Arc::new(Caller::anonymous()),
            wanted: None,
        }
    }

    /// What has to be looked up before the request can be decided; given once.
    pub fn take_wanted(&mut self) -> Option<Wanted> {
        self.wanted.take()
    }

    pub(super) fn want(&mut self, wanted: Wanted) {
        self.wanted = Some(wanted);
    }

    /// Follows the configuration, which may change while the cache is in use. A smaller one begins empty.
    pub fn set_capacity(&mut self, capacity: usize) {
        let half = capacity / 2;
        if half < self.half {
            self.newer = HashTable::new();
            self.older = HashTable::new();
        }
        self.half = half;
    }

    /// Tokens remembered now.
    pub fn len(&self) -> usize {
        self.newer.len() + self.older.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// One for each worker, so that workers do not fight for its reference count.
    pub(super) fn anonymous(&self) -> Arc<Caller> {
        Arc::clone(&self.anonymous)
    }

    pub(super) fn hash(&self, token: &[u8]) -> u64 {
        // The end is of the signature: good tokens differ there, and only good ones are kept. A whole token would take
        // longer to hash than to find.
        self.hasher.hash_one(token.last_chunk::<SIGNED>().map_or(token, |end| end))
    }

    /// The caller that this token proved before, if it still does.
    pub(super) fn get(&mut self, sought: &Sought<'_>, now_ms: i64) -> Option<Arc<Caller>> {
        let is_same =
            |entry: &Entry| entry.proof.identity == sought.proof.identity && *entry.token == *sought.token;
        if let Some(entry) = self.newer.find_mut(sought.hash, is_same) {
            return entry.caller_at(sought, now_ms);
        }
        let (mut entry, _) = self.older.find_entry(sought.hash, is_same).ok()?.remove();
        let caller = entry.caller_at(sought, now_ms)?;
        self.push(entry);
        Some(caller)
    }

    /// Gives the caller of this time; later ones are told that it was known.
    pub(super) fn insert(&mut self, entry: NewEntry<'_>, now_ms: i64) -> Arc<Caller> {
        let Judged { caller, valid_from_ms, valid_until_ms, marks, revocations } = entry.judged;
        if self.half == 0 {
            return Arc::new(caller);
        }
        let is_same = |old: &Entry| old.proof.identity == entry.proof.identity && *old.token == *entry.token;
        if let Ok(old) = self.newer.find_entry(entry.hash, is_same) {
            old.remove();
        }
        self.push(Entry {
            hash: entry.hash,
            token: entry.token.into(),
            proof: entry.proof,
            valid_from_ms,
            valid_until_ms: valid_until_ms.min(now_ms.saturating_add(MAX_AGE_MS)),
            marks,
            revocations,
            caller: Arc::new(Caller { cached: true, ..caller.clone() }),
        });
        Arc::new(caller)
    }

    fn push(&mut self, entry: Entry) {
        if self.newer.len() >= self.half {
            self.older = std::mem::take(&mut self.newer);
        }
        self.newer.insert_unique(entry.hash, entry, |entry| entry.hash);
    }
}

/// What is looked for: a token as one identity would accept it.
pub(super) struct Sought<'a> {
    pub(super) hash: u64,
    pub(super) token: &'a [u8],
    pub(super) proof: Proof,
    pub(super) watch: &'a Watch,
}

/// What a success teaches the cache.
pub(super) struct NewEntry<'a> {
    pub(super) hash: u64,
    pub(super) token: &'a [u8],
    pub(super) proof: Proof,
    pub(super) judged: Judged,
}

impl Entry {
    fn caller_at(&mut self, sought: &Sought<'_>, now_ms: i64) -> Option<Arc<Caller>> {
        let is_good =
            self.proof == sought.proof && (self.valid_from_ms..self.valid_until_ms).contains(&now_ms);
        let version = sought.watch.version();
        if is_good && self.revocations != version {
            if sought.watch.is_revoked(self.caller.user.as_deref(), &self.marks, now_ms) {
                return None;
            }
            self.revocations = version;
        }
        is_good.then(|| Arc::clone(&self.caller))
    }
}
