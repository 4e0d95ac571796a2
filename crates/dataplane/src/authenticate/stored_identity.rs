//! API keys of a store: their form says whether it is worth asking for them at all.
//!
//! `pk_live_`, 12 characters by which the store finds the key, 32 that are secret, 8 that check the others. The last 8 can
//! only be computed with the gateway's secret, so whoever invents keys never gets as far as a look-up.

use std::sync::Arc;

use aws_lc_rs::{constant_time, digest, hmac};

use super::attempt::Attempt;
use super::cache::{Wanted, WantedKey};
use super::generations::{HASH, KeyedHash};
use super::identity::Failure;
use super::stored_keys::StoredKeys;
use crate::caller::Caller;
use crate::refusal::{CredentialFault, Unjudged};
use crate::snapshot::document::KeyStoreDocument;

const MARK: &[u8] = b"pk_live_";
const PREFIX: usize = 12;
const SECRET: usize = 32;
const CHECK: usize = 8;
const ALPHABET: &[u8; 62] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";

pub(super) struct StoredIdentity {
    /// The one that keys are made under, and the one before it where that is still believed.
    secrets: Box<[hmac::Key]>,
    keys: Arc<StoredKeys>,
}

impl StoredIdentity {
    pub(super) fn compile(document: &KeyStoreDocument, keys: Arc<StoredKeys>) -> Self {
        let secrets = std::iter::once(&document.secret).chain(&document.previous_secret);
        let key = |secret: &String| hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
        Self { secrets: secrets.map(key).collect(), keys }
    }

    pub(super) fn identify(&self, index: u32, attempt: &mut Attempt<'_>) -> Result<Arc<Caller>, Failure> {
        let key = attempt.credential();
        let (prefix, hash) = self.read(key)?;
        match self.keys.find(&hash, index, attempt.client(), attempt.now_unix_ms()) {
            Some(found) => Ok(found?),
            None => {
                let mut sha256 = [0; HASH];
                sha256.copy_from_slice(digest::digest(&digest::SHA256, key).as_ref());
                let key = WantedKey { identity: index, prefix: text(prefix), hash, sha256 };
                attempt.want(Wanted::Key(key));
                Err(Failure::Unjudged(Unjudged::NotLookedUp))
            }
        }
    }

    /// The prefix and the keyed hash of what has the form of a key and its checksum.
    fn read<'a>(&self, key: &'a [u8]) -> Result<(&'a [u8], KeyedHash), CredentialFault> {
        let rest = key.strip_prefix(MARK).ok_or(CredentialFault::UnknownKey)?;
        if rest.len() != PREFIX + SECRET + CHECK || !rest.iter().all(u8::is_ascii_alphanumeric) {
            return Err(CredentialFault::UnknownKey);
        }
        let (signed, check) = key.split_at_checked(key.len() - CHECK).ok_or(CredentialFault::UnknownKey)?;
        let mut hashes = self.secrets.iter().map(|secret| hash_of(secret, signed));
        let hash = hashes
            .find(|hash| constant_time::verify_slices_are_equal(&checksum(hash), check).is_ok())
            .ok_or(CredentialFault::UnknownKey)?;
        Ok((rest.get(..PREFIX).unwrap_or_default(), hash))
    }
}

fn hash_of(secret: &hmac::Key, signed: &[u8]) -> KeyedHash {
    let mut hash = [0; HASH];
    hash.copy_from_slice(hmac::sign(secret, signed).as_ref());
    hash
}

fn checksum(hash: &KeyedHash) -> [u8; CHECK] {
    let mut check = [0; CHECK];
    for (character, byte) in check.iter_mut().rev().zip(hash.iter().rev()) {
        *character = ALPHABET.get(usize::from(*byte) % ALPHABET.len()).copied().unwrap_or_default();
    }
    check
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
pub(super) fn key_of(secret: &str, prefix: &str, random: &str) -> (String, String) {
    let signed = format!("pk_live_{prefix}{random}");
    let hash = hash_of(&hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()), signed.as_bytes());
    let hex = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    (signed + &text(&checksum(&hash)), hex)
}
