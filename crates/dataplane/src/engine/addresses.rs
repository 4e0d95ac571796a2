//! What Python tells and asks about addresses.

use serde_json::{Value, json};

use crate::addresses::Size;
use crate::node::Node;
use crate::record::AddressFileLine;
use crate::snapshot::Snapshot;

/// Reads the file of a kind again, of lists that of a name. Blocks for as long as that takes; what was read before holds
/// meanwhile, and afterwards where the file is wrong.
pub fn reload(node: &Node, kind: &str, name: &str) -> Result<Vec<u8>, String> {
    let snapshot = node.snapshot().ok_or("no snapshot is live")?;
    let grounds = &snapshot.screening.grounds;
    let size = match kind {
        "addresses" => grounds.list(name).map(|list| list.reload()),
        "geography" => grounds.countries().map(|countries| countries.reload()),
        "reputation" => grounds.scores().map(|scores| scores.reload()),
        other => return Err(format!("`{other}` is no kind of file")),
    };
    let Size { entries, bytes } = size.ok_or_else(|| format!("no file of {kind} `{name}`"))??;
    Ok(json!({"entries": entries, "bytes": bytes}).to_string().into_bytes())
}

pub fn lines(snapshot: &Snapshot) -> Vec<AddressFileLine> {
    let grounds = &snapshot.screening.grounds;
    let line = |kind, name: &str, Size { entries, bytes }, loaded_ms| AddressFileLine {
        kind,
        name: name.to_owned(),
        entries: entries as u64,
        bytes: bytes as u64,
        loaded_ms,
    };
    let lists = grounds.files().map(|(name, kept)| line("addresses", name, kept.size(), kept.loaded_ms()));
    let countries = grounds.countries().map(|kept| line("geography", "", kept.size(), kept.loaded_ms()));
    let scores = grounds.scores().map(|kept| line("reputation", "", kept.size(), kept.loaded_ms()));
    lists.chain(countries).chain(scores).collect()
}

pub fn documents(snapshot: Option<&Snapshot>) -> Vec<Value> {
    let document = |line: AddressFileLine| {
        json!({
            "kind": line.kind,
            "name": line.name,
            "entries": line.entries,
            "bytes": line.bytes,
            "loaded_ms": line.loaded_ms,
        })
    };
    snapshot.map(lines).unwrap_or_default().into_iter().map(document).collect()
}
