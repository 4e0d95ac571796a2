//! What Python answers. API keys of the store and tokens that are introspected: what it says of them, withdraws, and is told of
//! their use.

use std::collections::HashSet;
use std::sync::Arc;

use crate::authenticate::{Believed, KeyRefusal};
use crate::node::Node;
use crate::questions::{Question, Told};
use crate::snapshot::document::AnswerDocument;

/// Gives what whoever waits is told.
pub fn learn(node: &Node, question: u64, mut answer: AnswerDocument) -> Result<Told, String> {
    match (answer.granted.take(), answer.failed) {
        (Some(granted), None) => Ok(Told::Granted(Arc::new(granted))),
        (None, Some(failure)) => Ok(Told::Refused(failure)),
        (Some(_), Some(_)) => Err("of a login, either `granted` or `failed` is said".to_owned()),
        (None, None) => know(node, question, &answer).map(|yes| if yes { Told::Yes } else { Told::No }),
    }
}

/// Whether there is something to decide anew by.
fn know(node: &Node, question: u64, answer: &AnswerDocument) -> Result<bool, String> {
    match node.questions.find(question) {
        Some(Question::LookUpKey { hash, .. }) => learn_key(node, &hash, answer),
        Some(Question::CheckPassword { proof, .. }) => learn_password(node, proof, answer),
        Some(Question::Introspect { identity, issuer, digest, .. }) => {
            learn_token(node, (identity, issuer), digest, answer)
        }
        Some(
            Question::RefreshKeys { .. }
            | Question::ExchangeCode { .. }
            | Question::RefreshSession { .. }
            | Question::EndSession { .. }
            | Question::CheckLogout { .. },
        )
        | None => Ok(answer.ok),
    }
}

fn learn_password(node: &Node, proof: Option<[u8; 32]>, answer: &AnswerDocument) -> Result<bool, String> {
    match (answer.ok, answer.password, proof) {
        (true, Some(is_right), Some(proof)) => {
            node.keys.passwords().remember(proof, is_right, super::unix_ms());
            Ok(true)
        }
        (false, None, _) => Ok(false),
        (true | false, ..) => Err("of a password, `password` is said".to_owned()),
    }
}

fn learn_token(
    node: &Node,
    whose: (String, String),
    digest: [u8; 32],
    answer: &AnswerDocument,
) -> Result<bool, String> {
    let claims = match (answer.ok, answer.active, answer.claims.as_deref()) {
        (false, None, None) => return Ok(false),
        (true, Some(true), Some(claims)) => Some(claims),
        (true, Some(false), None) => None,
        (true | false, ..) => return Err("of a token, `active` is said, and then `claims`".to_owned()),
    };
    node.keys.learn_token(whose, digest, claims, super::unix_ms()).map(|()| true)
}

fn learn_key(node: &Node, hash: &str, answer: &AnswerDocument) -> Result<bool, String> {
    let found = match (answer.ok, &answer.key, answer.refused) {
        (false, None, None) => return Ok(false),
        (true, Some(key), None) => Ok(key),
        (true, None, Some(why)) => Err(KeyRefusal { why, id: answer.id.as_deref() }),
        (true | false, ..) => return Err("of a key, either `key` or `refused` is said".to_owned()),
    };
    let until = Believed { now_ms: super::unix_ms(), for_ms: answer.ttl_ms };
    node.keys.stored().learn(hash, found, until).map(|()| true)
}

pub fn forget(node: &Node, ids: &[u8]) -> Result<usize, String> {
    let ids: Option<HashSet<String>> =
        serde_json::from_slice(ids).map_err(|error| format!("ids of keys: {error}"))?;
    Ok(node.keys.stored().forget(ids.as_ref()))
}

pub fn uses(node: &Node) -> Vec<u8> {
    // Texts and numbers into memory cannot fail.
    serde_json::to_vec(&node.keys.stored().take_uses()).unwrap_or_default()
}
