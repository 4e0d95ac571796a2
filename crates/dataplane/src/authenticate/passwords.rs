//! Passwords that were checked, as far as it is remembered: right ones and, apart from them and for a second at most, wrong
//! ones. Shared by all workers. What is kept of a password is a hash under a key of this process.
//!
//! To check one takes a tenth of a second on purpose, so Python does it, when it is first seen. What is known is told to whoever
//! asks; a wrong password is forgotten so soon that whoever guesses pays with the limits on failures.

use std::net::IpAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

use aws_lc_rs::{hmac, rand};

use super::askers::Askers;
use super::generations::{Generations, HASH, Hashed, KeyedHash};
use super::shards::{SHARDS, Shards, lock};
use crate::snapshot::document::PasswordsDocument;

/// How long a wrong password stays wrong without another look: guesses that repeat themselves cost nothing meanwhile.
const WRONG_MS: u64 = 1_000;
/// Wrong passwords that are remembered; they never take the place of right ones.
const MAX_WRONG: usize = 4_096;

struct Proof {
    hash: KeyedHash,
    until_ms: u64,
}

impl Hashed for Proof {
    fn hash(&self) -> &KeyedHash {
        &self.hash
    }
}

#[derive(Default)]
struct Shard {
    right: Generations<Proof>,
    wrong: Generations<Proof>,
}

/// How full it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PasswordsSize {
    pub right: usize,
    pub wrong: usize,
}

pub struct Passwords {
    /// Made anew by every process: what it hashes is of no use anywhere else. `None` where the system has no randomness: then
    /// nothing is remembered.
    key: Option<hmac::Key>,
    shards: Shards<Shard>,
    most: AtomicUsize,
    ttl_ms: AtomicU64,
    askers: Mutex<Askers>,
}

impl Default for Passwords {
    fn default() -> Self {
        let mut secret = [0; HASH];
        let key = rand::fill(&mut secret).is_ok().then(|| hmac::Key::new(hmac::HMAC_SHA256, &secret));
        Self {
            key,
            shards: Shards::default(),
            most: AtomicUsize::default(),
            ttl_ms: AtomicU64::default(),
            askers: Mutex::default(),
        }
    }
}

/// Whose password it is.
#[derive(Clone, Copy)]
pub(super) enum Account<'a> {
    /// By the stamp of the hash that there is, so that another password makes another account.
    Known(&'a KeyedHash),
    Unknown(&'a str),
}

impl Passwords {
    /// Follows the configuration. What is remembered stays; what is too much goes when more is learned.
    pub fn configure(&self, document: &PasswordsDocument) {
        self.most.store(document.cache as usize, Relaxed);
        self.ttl_ms.store(document.cache_ttl_ms, Relaxed);
    }

    /// What stands for a password of somebody.
    pub(super) fn proof(&self, account: Account<'_>, password: &[u8]) -> Option<KeyedHash> {
        let mut context = hmac::Context::with_key(self.key.as_ref()?);
        match account {
            Account::Known(stamp) => {
                context.update(b"known");
                context.update(stamp);
            }
            Account::Unknown(user) => {
                // With its length, so that no two pairs of name and password are one text.
                context.update(b"unknown");
                context.update(&(user.len() as u64).to_le_bytes());
                context.update(user.as_bytes());
            }
        }
        context.update(password);
        let mut hash = [0; HASH];
        hash.copy_from_slice(context.sign().as_ref());
        Some(hash)
    }

    /// Is it right? `None` where nobody knows any more.
    pub(super) fn find(&self, proof: &KeyedHash, now_ms: u64) -> Option<bool> {
        let mut shard = self.shards.at(proof);
        let holds = |found: Option<&mut Proof>| found.is_some_and(|found| now_ms < found.until_ms);
        if holds(shard.right.find(proof)) {
            return Some(true);
        }
        holds(shard.wrong.find(proof)).then_some(false)
    }

    /// Remembers what a check said.
    pub fn remember(&self, proof: KeyedHash, is_right: bool, now_ms: u64) {
        let mut shard = self.shards.at(&proof);
        shard.right.remove(&proof);
        let (table, most, lasts_ms) = if is_right {
            let most = self.most.load(Relaxed);
            (&mut shard.right, most, self.ttl_ms.load(Relaxed))
        } else {
            (&mut shard.wrong, MAX_WRONG, WRONG_MS)
        };
        table.insert(Proof { hash: proof, until_ms: now_ms.saturating_add(lasts_ms) }, most / SHARDS);
    }

    /// May one more password be checked for a client of this address? At most `most` in a second.
    pub fn may_ask(&self, client: IpAddr, most: u32, now_ms: u64) -> bool {
        lock(&self.askers).may_ask(client, most, now_ms)
    }

    pub fn size(&self) -> PasswordsSize {
        self.shards.iter().fold(PasswordsSize::default(), |size, shard| PasswordsSize {
            right: size.right + shard.right.len(),
            wrong: size.wrong + shard.wrong.len(),
        })
    }
}
