//! Revoked tokens, as Python pushes them.

use crate::authenticate::Revocations;
use crate::engine::{EngineError, unix_ms};
use crate::node::Node;
use crate::snapshot::document::RevocationDocument;

/// Gives how many entries there was no room for; `Revocations::revoke` says what became of them.
pub fn revoke(node: &Node, entries: &[u8], replace: bool) -> Result<u64, EngineError> {
    let now_ms = i64::try_from(unix_ms()).unwrap_or(i64::MAX);
    with_entries(node, entries, |list, entries| list.revoke(entries, replace, now_ms))
}

/// Gives how many of the entries there were.
pub fn restore(node: &Node, entries: &[u8]) -> Result<usize, EngineError> {
    with_entries(node, entries, Revocations::restore)
}

fn with_entries<R>(
    node: &Node,
    json: &[u8],
    work: impl FnOnce(&Revocations, &[RevocationDocument]) -> Result<R, String>,
) -> Result<R, EngineError> {
    let read = serde_json::from_slice::<Vec<_>>(json).map_err(|error| error.to_string());
    read.and_then(|entries| work(node.keys.revocations(), &entries))
        .map_err(|error| EngineError::Engine(format!("revocations: {error}")))
}
