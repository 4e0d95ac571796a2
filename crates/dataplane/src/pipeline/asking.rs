//! What only Python can tell about a credential: asked once for all who wait, each with a deadline.

use std::fmt::Write;
use std::time::{Duration, Instant};

use crate::authenticate::{Identities, Wanted, WantedKey, WantedPassword};
use crate::exchange::Exchange;
use crate::pipeline::account::Visit;
use crate::pipeline::end::End;
use crate::pipeline::introspecting::introspect;
use crate::pipeline::login::{self, Refreshed};
use crate::pipeline::watch::Watch;
use crate::questions::{MAX_REFRESHES, Patience, Question, Reply};
use crate::record::KeyLookup;
use crate::refusal::{CredentialFault, Refusal, Unjudged};
use crate::request::Request;
use crate::snapshot::document::{KeyStoreDocument, PasswordsDocument};
use crate::trail::{Awaited, Cause, Rule, Stage, Trail};
use crate::worker::Worker;

/// Causes of a refusal about which somebody can be asked.
const UNASKED: [(Unjudged, Awaited); 4] = [
    (Unjudged::SessionDue, Awaited::Provider),
    (Unjudged::NotLookedUp, Awaited::KeyStore),
    (Unjudged::NotChecked, Awaited::Password),
    (Unjudged::NotIntrospected, Awaited::Introspection),
];

/// What Python could do about a refusal.
pub enum Help {
    None,
    /// The request is to be decided once more.
    Again,
    /// The same, with what was said of its session.
    Renewed(Refreshed),
    Unjudged(u32, Unjudged),
}

/// Asks where something can be done, for as long as the client waits, and notes how long that took. What Python finds out
/// for a client that has left is there for others all the same.
pub async fn help<E: Exchange>(
    worker: &Worker,
    visit: &Visit,
    request: &Request,
    refusal: &Refusal,
    (exchange, trail): (&mut E, &mut Trail),
) -> Result<Help, End> {
    let Some(awaited) = awaited(visit, refusal) else { return Ok(Help::None) };
    let cause = Cause { stage: Stage::Authenticate, rule: Rule::None, awaited };
    // On the heap, since every connection would have to have room for it.
    let asked = Box::pin(ask(worker, visit, request, refusal));
    Watch::new(trail, visit.began, cause).since(Instant::now()).with(exchange, asked).await
}

/// What a refusal is for want of.
fn awaited(visit: &Visit, refusal: &Refusal) -> Option<Awaited> {
    if unknown_key(visit, refusal).is_some() {
        return Some(Awaited::KeySet);
    }
    let Refusal::AuthenticationUnavailable { cause, .. } = refusal else { return None };
    UNASKED.iter().find(|(unasked, _)| unasked == cause).map(|(_, awaited)| *awaited)
}

async fn ask(worker: &Worker, visit: &Visit, request: &Request, refusal: &Refusal) -> Help {
    if let Some(identity) = unknown_key(visit, refusal) {
        let found = ask_for_keys(worker, visit, identity).await;
        return if found { Help::Again } else { Help::None };
    }
    if let Refusal::AuthenticationUnavailable { cause: Unjudged::SessionDue, identity } = refusal {
        let refreshed = login::refresh(worker, visit, request, *identity).await;
        return refreshed.map_or(Help::None, Help::Renewed);
    }
    let wanted = worker.tokens.borrow_mut().take_wanted();
    let Identities { key_store, passwords, .. } = &visit.snapshot.identities;
    match (wanted, key_store, passwords) {
        (Some(Wanted::Key(wanted)), Some(store), _) => look_up(worker, visit, request, wanted, store).await,
        (Some(Wanted::Password(wanted)), _, Some(checks)) => {
            check(worker, visit, request, wanted, checks).await
        }
        (Some(Wanted::Token(wanted)), ..) => introspect(worker, visit, request, wanted).await,
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

/// The identity of a token that names a key which its issuer may have published since.
fn unknown_key(visit: &Visit, refusal: &Refusal) -> Option<u32> {
    let Refusal::Unauthenticated { identity, fault: CredentialFault::UnknownKey, .. } = refusal else {
        return None;
    };
    let entry = |identity: &u32| visit.snapshot.identity_entries.get(*identity as usize);
    identity.filter(|identity| entry(identity).is_some_and(|entry| entry.keys_are_pushed))
}

/// A token may name a key that is newer than the keys at hand: Python fetches them, once for all who wait (AU-9).
/// False when there are none to be had.
async fn ask_for_keys(worker: &Worker, visit: &Visit, identity: u32) -> bool {
    let Some(entry) = visit.snapshot.identity_entries.get(identity as usize) else { return false };
    let question = Question::RefreshKeys { identity: entry.counted.named.name.to_string() };
    let patience = Patience { deadline: worker.node.options.identity_timeout(), open: MAX_REFRESHES };
    worker.node.questions.ask(question, patience).await == Reply::Yes
}
