//! Asking the issuer of a token what it is worth, once for all who wait. No answer is no permission.

use std::time::Duration;

use crate::authenticate::WantedToken;
use crate::pipeline::account::Visit;
use crate::pipeline::asking::Help;
use crate::questions::{Patience, Question, Reply};
use crate::record::KeyLookup;
use crate::refusal::Unjudged;
use crate::request::Request;
use crate::worker::Worker;

pub(super) async fn introspect(
    worker: &Worker,
    visit: &Visit,
    request: &Request,
    wanted: WantedToken,
) -> Help {
    let WantedToken { identity: index, digest, token } = wanted;
    let entry = visit.snapshot.identity_entries.get(index as usize);
    let opaque = visit.snapshot.identities.opaque(index);
    let (Some(entry), Some(opaque)) = (entry, opaque) else { return Help::None };
    let counts = &worker.counts().introspections;
    let settings = &opaque.settings;
    if !opaque.answers.may_ask(request.client, settings.lookups_per_address, visit.facts.unix_ms) {
        counts.count(KeyLookup::PerAddress);
        return Help::Unjudged(index, Unjudged::TooManyIntrospectionsFromAddress);
    }
    let identity = entry.counted.named.name.to_string();
    let question = Question::Introspect { identity, token, issuer: settings.issuer_stamp.clone(), digest };
    let deadline = Duration::from_millis(settings.timeout_ms);
    let patience = Patience { deadline, open: settings.max_lookups as usize };
    let (outcome, cause) = match worker.node.questions.ask(question, patience).await {
        Reply::Yes => {
            counts.count(KeyLookup::Answered);
            return Help::Again;
        }
        Reply::No => (KeyLookup::Failed, Unjudged::IssuerSilent),
        Reply::Late => (KeyLookup::Late, Unjudged::IssuerLate),
        Reply::Full => (KeyLookup::Full, Unjudged::TooManyIntrospections),
    };
    counts.count(outcome);
    Help::Unjudged(index, cause)
}
