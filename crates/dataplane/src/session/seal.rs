//! Sealing: text that only a gateway with the same secret can read, change or make. The one implementation.
//!
//! A sealed text is base64url of: version, which secret, salt, nonce, ciphertext, tag. Each has an AES-256-GCM key of its
//! own, derived from secret and salt, so that no number of cookies wears a secret out.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::{hmac, rand};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

const VERSION: u8 = 1;
const NAME: usize = 4;
const SALT: usize = 16;
const HEAD: usize = 1 + NAME + SALT + NONCE_LEN;
/// Nothing longer is opened.
const MAX_SEALED: usize = 16 * 1024;

/// Secrets, the newest first: that one seals, all of them open.
pub struct Sealer {
    keys: Box<[Key]>,
}

struct Key {
    name: [u8; NAME],
    derive: hmac::Key,
}

impl Key {
    fn new(secret: &str) -> Self {
        let master = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
        let mut name = [0; NAME];
        for (byte, from) in name.iter_mut().zip(hmac::sign(&master, b"gatewright name").as_ref()) {
            *byte = *from;
        }
        let derived = hmac::sign(&master, b"gatewright seal");
        Self { name, derive: hmac::Key::new(hmac::HMAC_SHA256, derived.as_ref()) }
    }

    fn of(&self, salt: &[u8]) -> Option<LessSafeKey> {
        let key = hmac::sign(&self.derive, salt);
        UnboundKey::new(&AES_256_GCM, key.as_ref()).ok().map(LessSafeKey::new)
    }
}

impl Sealer {
    pub fn new(secrets: &[String]) -> Self {
        Self { keys: secrets.iter().map(|secret| Key::new(secret)).collect() }
    }

    /// `context` says what the text is and for whom: it opens in no other one. `None` where the system has no chance to
    /// give.
    pub fn seal(&self, context: &[u8], plain: &[u8]) -> Option<String> {
        let key = self.keys.first()?;
        let mut sealed = Vec::with_capacity(HEAD + plain.len() + AES_256_GCM.tag_len());
        sealed.push(VERSION);
        sealed.extend_from_slice(&key.name);
        let (salt, nonce) = (random::<SALT>()?, random::<NONCE_LEN>()?);
        sealed.extend_from_slice(&salt);
        sealed.extend_from_slice(&nonce);
        let mut text = plain.to_vec();
        let nonce = Nonce::assume_unique_for_key(nonce);
        key.of(&salt)?.seal_in_place_append_tag(nonce, Aad::from(context), &mut text).ok()?;
        sealed.extend_from_slice(&text);
        Some(URL_SAFE_NO_PAD.encode(sealed))
    }

    /// What was sealed in this context; `None` for everything else.
    pub fn open(&self, context: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
        if sealed.len() > MAX_SEALED {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(sealed).ok()?;
        let (head, text) = bytes.split_at_checked(HEAD)?;
        let (name, rest) = head.strip_prefix(&[VERSION])?.split_at_checked(NAME)?;
        let (salt, nonce) = rest.split_at_checked(SALT)?;
        let key = self.keys.iter().find(|key| key.name == *name)?.of(salt)?;
        let mut text = text.to_vec();
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let length = key.open_in_place(nonce, Aad::from(context), &mut text).ok()?.len();
        text.truncate(length);
        Some(text)
    }
}

fn random<const LENGTH: usize>() -> Option<[u8; LENGTH]> {
    let mut bytes = [0; LENGTH];
    rand::fill(&mut bytes).ok()?;
    Some(bytes)
}

/// 128 bits that nobody can guess, as 22 characters.
pub fn random_name() -> Option<String> {
    random::<16>().map(|bytes| URL_SAFE_NO_PAD.encode(bytes))
}

/// 256 bits that nobody can guess, as 43 characters.
pub fn random_secret() -> Option<String> {
    random::<32>().map(|bytes| URL_SAFE_NO_PAD.encode(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealer(secrets: &[&str]) -> Sealer {
        Sealer::new(&secrets.iter().map(|secret| (*secret).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn what_was_sealed_opens_in_its_context_and_in_no_other() {
        let sealer = sealer(&["one secret"]);
        let sealed = sealer.seal(b"session web", b"hello").unwrap();
        assert_eq!(sealer.open(b"session web", sealed.as_bytes()).unwrap(), b"hello");
        for other in [&b"session"[..], b"", b"session web2", b"tokens web"] {
            assert_eq!(sealer.open(other, sealed.as_bytes()), None);
        }
        assert_ne!(sealer.seal(b"session web", b"hello").unwrap(), sealed);
    }

    #[test]
    fn any_other_byte_opens_nothing() {
        let sealer = sealer(&["one secret"]);
        let sealed = sealer.seal(b"x", b"hello").unwrap();
        let bytes = URL_SAFE_NO_PAD.decode(&sealed).unwrap();
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut changed = bytes.clone();
                changed[at] ^= 1 << bit;
                assert_eq!(sealer.open(b"x", URL_SAFE_NO_PAD.encode(changed).as_bytes()), None, "{at} {bit}");
            }
            assert_eq!(sealer.open(b"x", URL_SAFE_NO_PAD.encode(&bytes[..at]).as_bytes()), None, "{at}");
        }
        assert_eq!(sealer.open(b"x", &vec![b'A'; MAX_SEALED + 1]), None);
        assert_eq!(sealer.open(b"x", format!("{sealed}=").as_bytes()), None);
    }

    #[test]
    fn an_older_secret_opens_and_the_newest_seals() {
        let (old, both, new) = (sealer(&["old"]), sealer(&["new", "old"]), sealer(&["new"]));
        let before = old.seal(b"x", b"1").unwrap();
        assert_eq!(both.open(b"x", before.as_bytes()).unwrap(), b"1");
        let after = both.seal(b"x", b"2").unwrap();
        assert_eq!(new.open(b"x", after.as_bytes()).unwrap(), b"2");
        assert_eq!(new.open(b"x", before.as_bytes()), None);
        assert_eq!(old.open(b"x", after.as_bytes()), None);
    }
}
