//! API keys, known only by their hash.

use std::sync::Arc;

use aws_lc_rs::{constant_time, digest, hmac};
use hashbrown::HashTable;
use ipnet::IpNet;

use super::generations::{HASH, KeyedHash};
use crate::caller::{Caller, CallerKind, is_header_safe, is_scope};
use crate::refusal::CredentialFault;
use crate::snapshot::document::{ApiKeyEntryDocument, ApiKeysDocument};

/// Bytes of a key as sent.
const MAX_KEY: usize = 512;

/// How keys become the hashes that are stored.
pub(super) enum Hashing {
    Plain,
    Peppered(Box<hmac::Key>),
}

impl Hashing {
    pub(super) fn compile(pepper: Option<&str>) -> Self {
        pepper.map_or(Self::Plain, |pepper| {
            Self::Peppered(Box::new(hmac::Key::new(hmac::HMAC_SHA256, pepper.as_bytes())))
        })
    }

    /// Refuses what cannot be a key before any work is spent on it.
    pub(super) fn hash(&self, key: &[u8]) -> Result<[u8; HASH], CredentialFault> {
        if key.len() > MAX_KEY {
            return Err(CredentialFault::TooLong);
        }
        if key.is_empty() || !key.iter().all(u8::is_ascii_graphic) {
            return Err(CredentialFault::Malformed);
        }
        let mut hash = [0; HASH];
        match self {
            Self::Plain => hash.copy_from_slice(digest::digest(&digest::SHA256, key).as_ref()),
            Self::Peppered(pepper) => hash.copy_from_slice(hmac::sign(pepper, key).as_ref()),
        }
        Ok(hash)
    }
}

pub(super) struct ApiKey {
    pub(super) hash: KeyedHash,
    pub(super) expires_at_ms: u64,
    pub(super) id: Arc<str>,
    partner: Arc<str>,
    tier: Option<Arc<str>>,
    scopes: Arc<[Arc<str>]>,
    scopes_text: Arc<str>,
    networks: Option<Arc<[IpNet]>>,
}

/// The compiled keys of one identity. Immutable; a change is a new set.
pub(super) struct ApiKeys {
    table: HashTable<ApiKey>,
}

impl ApiKeys {
    /// Refuses hashes that are not 64 lower-case hexadecimal digits, hashes and ids that repeat, and names that cannot
    /// be sent as a header.
    pub(super) fn compile(document: &ApiKeysDocument) -> Result<Self, String> {
        let mut keys = Self { table: HashTable::with_capacity(document.keys.len()) };
        let mut ids = std::collections::HashSet::with_capacity(document.keys.len());
        for (index, entry) in document.keys.iter().enumerate() {
            let key = ApiKey::compile(entry).map_err(|error| format!("key {index}: {error}"))?;
            if !ids.insert(entry.id.as_str()) {
                return Err(format!("key {index}: the id `{}` is repeated", entry.id));
            }
            if keys.find(&key.hash).is_some() {
                return Err(format!("key {index}: the hash of `{}` is repeated", entry.id));
            }
            keys.table.insert_unique(prefix(&key.hash), key, |key| prefix(&key.hash));
        }
        Ok(keys)
    }

    /// The caller that a key of this hash stands for, on behalf of the identity with this index.
    pub(super) fn caller(
        &self,
        hash: &[u8; HASH],
        identity: u32,
        now_ms: u64,
    ) -> Result<Arc<Caller>, CredentialFault> {
        let key = self.find(hash).ok_or(CredentialFault::UnknownKey)?;
        if now_ms >= key.expires_at_ms {
            return Err(CredentialFault::Expired);
        }
        Ok(Arc::new(key.caller(identity)))
    }

    fn find(&self, hash: &[u8; HASH]) -> Option<&ApiKey> {
        let is_same = |key: &ApiKey| constant_time::verify_slices_are_equal(&key.hash, hash).is_ok();
        self.table.find(prefix(hash), is_same)
    }
}

impl ApiKey {
    pub(super) fn compile(entry: &ApiKeyEntryDocument) -> Result<Self, String> {
        for (member, text) in [("id", &entry.id), ("partner", &entry.partner)] {
            if !is_header_safe(text) {
                return Err(format!("`{member}` must be 1 to 256 bytes that can be sent in a header"));
            }
        }
        if let Some(scope) = entry.scopes.iter().find(|scope| !is_scope(scope)) {
            return Err(format!("the scope `{scope}` is not visible ASCII without spaces"));
        }
        Ok(Self {
            hash: hash_from_hex(&entry.hash)
                .ok_or("`hash` is not 64 lower-case hexadecimal digits".to_owned())?,
            expires_at_ms: entry.expires_at_ms.unwrap_or(u64::MAX),
            id: entry.id.as_str().into(),
            partner: entry.partner.as_str().into(),
            tier: entry.tier.as_deref().map(Into::into),
            scopes: entry.scopes.iter().map(|scope| scope.as_str().into()).collect(),
            scopes_text: entry.scopes.join(" ").into(),
            networks: networks(&entry.networks)?,
        })
    }

    pub(super) fn caller(&self, identity: u32) -> Caller {
        Caller {
            kind: CallerKind::Partner,
            identity: Some(identity),
            user: None,
            scopes: Arc::clone(&self.scopes),
            scopes_text: Arc::clone(&self.scopes_text),
            partner: Some(Arc::clone(&self.partner)),
            key_id: Some(Arc::clone(&self.id)),
            tier: self.tier.clone(),
            networks: self.networks.clone(),
            roles: None,
            header_lines: None,
            claims: None,
            confirmation: None,
            ambient: None,
            cached: false,
        }
    }
}

/// `None` where there are none: then the key may be used from everywhere.
fn networks(texts: &[String]) -> Result<Option<Arc<[IpNet]>>, String> {
    let read = |text: &String| text.parse().map_err(|_| format!("`{text}` is no network"));
    let networks: Arc<[IpNet]> = texts.iter().map(read).collect::<Result<_, _>>()?;
    Ok((!networks.is_empty()).then_some(networks))
}

/// The hashes are uniformly distributed already, and nobody can choose a key by its hash.
fn prefix(hash: &[u8; HASH]) -> u64 {
    hash.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

pub(super) fn hash_from_hex(text: &str) -> Option<[u8; HASH]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if pairs.len() != HASH || !rest.is_empty() {
        return None;
    }
    let mut hash = [0; HASH];
    for (byte, [high, low]) in hash.iter_mut().zip(pairs) {
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Some(hash)
}
