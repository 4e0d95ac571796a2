//! What only Python can tell about a credential: asked once for all who wait, each with a deadline.

use std::fmt::Write;
use std::time::Duration;

use crate::authenticate::{Identities, Wanted, WantedKey, WantedPassword};
use crate::pipeline::account::Visit;
use crate::pipeline::introspecting::introspect;
use crate::pipeline::login::{self, Refreshed};
use crate::questions::{MAX_REFRESHES, Patience, Question, Reply};
use crate::record::KeyLookup;
use crate::refusal::{CredentialFault, Refusal, Unjudged};
use crate::request::Request;
use crate::snapshot::document::{KeyStoreDocument, PasswordsDocument};
use crate::worker::Worker;

/// What Python could do about a refusal.
pub enum Help {
    None,
    /// The request is to be decided once more.
    Again,
    /// The same, with what was said of its session.
    Renewed(Refreshed),
    Unjudged(u32, Unjudged),
}

pub async fn help(worker: &Worker, visit: &Visit, request: &Request, refusal: &Refusal) -> Help {
    if let Some(identity) = unknown_key(refusal) {
        let found = ask_for_keys(worker, visit, identity).await;
        return if found { Help::Again } else { Help::None };
    }
    if let Refusal::AuthenticationUnavailable { cause: Unjudged::SessionDue, identity } = refusal {
        let refreshed = Box::pin(login::refresh(worker, visit, request, *identity)).await;
        return refreshed.map_or(Help::None, Help::Renewed);
    }
    let Refusal::AuthenticationUnavailable {
        cause: Unjudged::NotLookedUp | Unjudged::NotChecked | Unjudged::NotIntrospected,
        ..
    } = refusal
    else {
        return Help::None;
    };
    let wanted = worker.tokens.borrow_mut().take_wanted();
    let Identities { key_store, passwords, .. } = &visit.snapshot.identities;
    // On the heap, since every connection would have to have room for it.
    match (wanted, key_store, passwords) {
        (Some(Wanted::Key(wanted)), Some(store), _) => {
            Box::pin(look_up(worker, visit, request, wanted, store)).await
        }
        (Some(Wanted::Password(wanted)), _, Some(checks)) => {
            Box::pin(check(worker, visit, request, wanted, checks)).await
        }
        (Some(Wanted::Token(wanted)), ..) => Box::pin(introspect(worker, visit, request, wanted)).await,
        (None | Some(Wanted::Key(_) | Wanted::Password(_)), ..) => Help::None,
    }
}

/// Asks the key store for a key, once for all who wait. No answer is no permission.
async fn look_up(
    worker: &Worker,
    visit: &Visit,
    request: &Request,
    wanted: WantedKey,
    store: &KeyStoreDocument,
) -> Help {
    let counts = &worker.counts().key_lookups;
    let identity = wanted.identity;
    let stored = worker.node.keys.stored();
    if !stored.may_ask(request.client, store.lookups_per_address, visit.facts.unix_ms) {
        counts.count(KeyLookup::PerAddress);
        return Help::Unjudged(identity, Unjudged::TooManyFromAddress);
    }
    let WantedKey { prefix, hash, sha256, .. } = wanted;
    let question = Question::LookUpKey { prefix, hash: hexadecimal(&hash), digest: hexadecimal(&sha256) };
    let patience =
        Patience { deadline: Duration::from_millis(store.timeout_ms), open: store.max_lookups as usize };
    let (lookup, cause) = match worker.node.questions.ask(question, patience).await {
        Reply::Yes => {
            counts.count(KeyLookup::Answered);
            return Help::Again;
        }
        Reply::No => (KeyLookup::Failed, Unjudged::NoAnswer),
        Reply::Late => (KeyLookup::Late, Unjudged::Late),
        Reply::Full => (KeyLookup::Full, Unjudged::TooManyLookups),
    };
    counts.count(lookup);
    Help::Unjudged(identity, cause)
}

/// Lets a password be checked, once for all who come with it. No answer is no permission.
async fn check(
    worker: &Worker,
    visit: &Visit,
    request: &Request,
    wanted: WantedPassword,
    checks: &PasswordsDocument,
) -> Help {
    let counts = &worker.counts().password_checks;
    let WantedPassword { identity, proof, hash, password } = wanted;
    let passwords = worker.node.keys.passwords();
    if !passwords.may_ask(request.client, checks.checks_per_address, visit.facts.unix_ms) {
        counts.count(KeyLookup::PerAddress);
        return Help::Unjudged(identity, Unjudged::TooManyChecksFromAddress);
    }
    let question = Question::CheckPassword { proof, hash, password };
    let patience =
        Patience { deadline: Duration::from_millis(checks.timeout_ms), open: checks.max_checks as usize };
    let (outcome, cause) = match worker.node.questions.ask(question, patience).await {
        Reply::Yes => {
            counts.count(KeyLookup::Answered);
            return Help::Again;
        }
        Reply::No => (KeyLookup::Failed, Unjudged::CheckFailed),
        Reply::Late => (KeyLookup::Late, Unjudged::CheckLate),
        Reply::Full => (KeyLookup::Full, Unjudged::TooManyChecks),
    };
    counts.count(outcome);
    Help::Unjudged(identity, cause)
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        // Writing into a text cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn unknown_key(refusal: &Refusal) -> Option<u32> {
    if let Refusal::Unauthenticated { identity, fault: CredentialFault::UnknownKey, .. } = refusal {
        return *identity;
    }
    None
}

/// A token may name a key that is newer than the keys at hand: Python fetches them, once for all who wait (AU-9).
/// False when there are none to be had.
async fn ask_for_keys(worker: &Worker, visit: &Visit, identity: u32) -> bool {
    let entry = visit.snapshot.identity_entries.get(identity as usize);
    let Some(entry) = entry.filter(|entry| entry.keys_are_pushed) else { return false };
    let question = Question::RefreshKeys { identity: entry.counted.named.name.to_string() };
    let patience = Patience { deadline: worker.node.options.identity_timeout(), open: MAX_REFRESHES };
    worker.node.questions.ask(question, patience).await == Reply::Yes
}
