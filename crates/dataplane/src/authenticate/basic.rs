//! A name and a password (RFC 7617). Which of the two was wrong is told to nobody, and nobody can measure it: a name that
//! is not there costs what a wrong password costs.

use std::collections::HashMap;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::api_keys::hash_from_hex;
use super::attempt::Attempt;
use super::cache::{Wanted, WantedPassword};
use super::generations::KeyedHash;
use super::identity::Failure;
use super::named;
use super::passwords::{Account, Passwords};
use crate::caller::{Caller, CallerKind, is_header_safe};
use crate::questions::Secret;
use crate::refusal::{CredentialFault, Unjudged};
use crate::snapshot::document::{BasicDocument, UserDocument};

/// Bytes of a credential as sent.
const MAX_CREDENTIAL: usize = 2_048;

pub(super) struct BasicIdentity {
    users: HashMap<Box<str>, User>,
    passwords: Arc<Passwords>,
}

struct User {
    /// Changes with the password.
    stamp: KeyedHash,
    hash: Box<str>,
    caller: Arc<Caller>,
}

impl BasicIdentity {
    /// Refuses names that repeat or cannot be sent as a header, scopes that are none, and stamps that are no SHA-256.
    pub(super) fn compile(
        index: u32,
        document: &BasicDocument,
        passwords: Arc<Passwords>,
    ) -> Result<Self, String> {
        let mut users = HashMap::with_capacity(document.users.len());
        for entry in &document.users {
            let user =
                User::compile(index, entry).map_err(|error| format!("user `{}`: {error}", entry.user))?;
            if users.insert(entry.user.as_str().into(), user).is_some() {
                return Err(format!("user `{}` is repeated", entry.user));
            }
        }
        Ok(Self { users, passwords })
    }

    pub(super) fn identify(&self, index: u32, attempt: &mut Attempt<'_>) -> Result<Arc<Caller>, Failure> {
        let text = read(attempt.credential())?;
        let (name, password) = text.split_once(':').ok_or(CredentialFault::Malformed)?;
        let user = self.users.get(name);
        let account = user.map_or(Account::Unknown(name), |user| Account::Known(&user.stamp));
        let proof = self.passwords.proof(account, password.as_bytes());
        let known = proof.and_then(|proof| self.passwords.find(&proof, attempt.now_unix_ms()));
        match (known, user) {
            (Some(true), Some(user)) => Ok(Arc::clone(&user.caller)),
            (Some(_), _) => Err(CredentialFault::WrongPassword.into()),
            (None, _) => {
                let hash = user.map(|user| user.hash.to_string());
                let password = Secret(password.to_owned());
                attempt.want(Wanted::Password(WantedPassword { identity: index, proof, hash, password }));
                Err(Failure::Unjudged(Unjudged::NotChecked))
            }
        }
    }
}

impl User {
    fn compile(index: u32, entry: &UserDocument) -> Result<Self, String> {
        if !is_header_safe(&entry.user) || entry.user.contains(':') {
            return Err("the name cannot be sent in a header, or has a colon".to_owned());
        }
        let stamp = hash_from_hex(&entry.hash).ok_or("the hash is no SHA-256")?;
        let caller = Caller {
            user: Some(entry.user.as_str().into()),
            tier: entry.tier.as_deref().map(Into::into),
            roles: named::roles(&entry.roles)?,
            ..Caller::new(CallerKind::User, Some(index), named::scopes(&entry.scopes)?)
        };
        Ok(Self { stamp, hash: entry.hash.as_str().into(), caller: Arc::new(caller) })
    }
}

/// Name and password, as the client has put them together. Refuses what RFC 7617 does not allow.
fn read(credential: &[u8]) -> Result<String, CredentialFault> {
    if credential.len() > MAX_CREDENTIAL {
        return Err(CredentialFault::TooLong);
    }
    let bytes = STANDARD.decode(credential.trim_ascii_start()).map_err(|_| CredentialFault::Malformed)?;
    let text = String::from_utf8(bytes).map_err(|_| CredentialFault::Malformed)?;
    if text.chars().any(char::is_control) { Err(CredentialFault::Malformed) } else { Ok(text) }
}
