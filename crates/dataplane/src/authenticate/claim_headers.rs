//! Claims that services are told in headers.

use std::sync::Arc;

use serde_json::Value;

use crate::claims::Claims;
use crate::refusal::CredentialFault;
use crate::snapshot::document::ClaimHeaderDocument;

/// Bytes of one value.
const MAX_VALUE: usize = 2048;

pub(super) struct ClaimHeaders(Box<[ClaimHeader]>);

struct ClaimHeader {
    name: Box<str>,
    path: Box<str>,
}

impl ClaimHeaders {
    pub(super) fn compile(documents: &[ClaimHeaderDocument]) -> Result<Self, String> {
        let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let header = |document: &ClaimHeaderDocument| {
            if document.header.is_empty() || !document.header.bytes().all(is_plain) {
                return Err(format!("`{}` is no header for a claim", document.header.escape_debug()));
            }
            Ok(ClaimHeader { name: document.header.as_str().into(), path: document.claim.as_str().into() })
        };
        documents.iter().map(header).collect::<Result<_, _>>().map(Self)
    }

    /// The lines for the service, made once for a token; `None` where there are none. A claim that is missing has no header;
    /// one that cannot be told in one refuses its token, since the service would take it for missing.
    pub(super) fn lines(&self, claims: &Claims) -> Result<Option<Arc<[u8]>>, CredentialFault> {
        let mut lines = String::new();
        for header in &self.0 {
            let Some(claim) = claims.find(&header.path).filter(|claim| !claim.is_null()) else { continue };
            let value = text(claim).filter(|value| is_value(value)).ok_or(CredentialFault::Malformed)?;
            lines.extend([&*header.name, ": ", &value, "\r\n"]);
        }
        Ok((!lines.is_empty()).then(|| lines.into_bytes().into()))
    }
}

/// A list becomes its elements between commas, so none of them may have one.
fn text(claim: &Value) -> Option<String> {
    let Value::Array(list) = claim else { return word(claim) };
    let words = list.iter().map(|one| word(one).filter(|word| !word.contains(',') && is_value(word)));
    words.collect::<Option<Vec<String>>>().map(|words| words.join(","))
}

fn word(claim: &Value) -> Option<String> {
    match claim {
        Value::String(text) => Some(text.clone()),
        Value::Bool(is_so) => Some(is_so.to_string()),
        Value::Number(number) => Some(number.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// White space at the ends would be lost on the way. An empty list is an empty value.
fn is_value(text: &str) -> bool {
    text.len() <= MAX_VALUE && text.trim() == text && !text.chars().any(char::is_control)
}
