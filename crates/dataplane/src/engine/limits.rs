//! Limits as Python sees them: bans, quotas that are to survive the process, the store that nodes share.

use serde_json::{Value, json};

use crate::engine::{EngineError, unix_ms};
use crate::limit::{Ban, BanLine, QuotaLine};
use crate::node::Node;
use crate::record::SharedStoreLine;
use crate::shared_store::Bypass;
use crate::snapshot::Snapshot;

/// Bans that are listed; the longest come first.
const LISTED_BANS: usize = 1_000;

/// The callers that are banned, as a list.
pub fn bans(node: &Node) -> Vec<u8> {
    let now_ms = unix_ms();
    let Some(snapshot) = node.snapshot() else { return b"[]".to_vec() };
    let line = |ban: Ban| {
        json!({
            "tier": ban.tier,
            "caller": ban.caller,
            "until_ms": ban.until_ms,
            "remaining_ms": ban.until_ms.saturating_sub(now_ms),
            "bans": ban.bans,
        })
    };
    let list: Vec<Value> =
        node.counters.bans(&snapshot.tiers, LISTED_BANS, now_ms).into_iter().map(line).collect();
    Value::from(list).to_string().into_bytes()
}

/// Sets the limit of a tier for a while, or gives it back to the configuration.
pub fn set_limit(node: &Node, tier: &str, limit: Option<u64>, lasts_ms: u64) -> Result<(), EngineError> {
    let snapshot =
        node.snapshot().ok_or_else(|| EngineError::Engine("no configuration is live".to_owned()))?;
    let until_ms = unix_ms().saturating_add(lasts_ms);
    node.counters.set_limit(&snapshot.tiers, tier, limit, until_ms).map_err(EngineError::Engine)
}

/// The limit of a tier that was set by hand, while it holds.
pub fn by_hand(node: &Node, tier: &str) -> Value {
    let now_ms = unix_ms();
    node.counters.emergency(tier, now_ms).map_or(Value::Null, |(limit, until_ms)| {
        json!({"limit": limit, "until_ms": until_ms, "remaining_ms": until_ms.saturating_sub(now_ms)})
    })
}

/// What was added to quotas since the last call; `None` where nothing was.
pub fn take_quotas(node: &Node, maximum: usize) -> Option<Vec<u8>> {
    let snapshot = node.snapshot()?;
    let lines = node.counters.take_unsaved(&snapshot.tiers, maximum);
    if lines.is_empty() {
        return None;
    }
    // Texts and numbers into memory cannot fail.
    serde_json::to_vec(&lines).ok()
}

/// Adds what was stored to the quotas of the live snapshot; gives how many lines counted.
pub fn restore_quotas(node: &Node, json: &[u8]) -> Result<usize, EngineError> {
    let lines: Vec<QuotaLine> =
        serde_json::from_slice(json).map_err(|error| EngineError::Engine(format!("quotas: {error}")))?;
    let Some(snapshot) = node.snapshot() else { return Ok(0) };
    Ok(node.counters.restore(&snapshot.tiers, &lines, unix_ms()))
}

/// Bans that began or were lifted since the last call; `None` where none did.
pub fn take_bans(node: &Node, maximum: usize) -> Option<Vec<u8>> {
    let snapshot = node.snapshot()?;
    let lines = node.counters.take_bans(&snapshot.tiers, maximum);
    if lines.is_empty() {
        return None;
    }
    // Texts and numbers into memory cannot fail.
    serde_json::to_vec(&lines).ok()
}

/// Bans and lifts as other processes did; gives how many changed anything. A line that is none changes nothing, and says nothing
/// against the others: some come from a store that others may write to.
pub fn restore_bans(node: &Node, json: &[u8]) -> Result<usize, EngineError> {
    let lines: Vec<Value> =
        serde_json::from_slice(json).map_err(|error| EngineError::Engine(format!("bans: {error}")))?;
    let lines: Vec<BanLine> =
        lines.into_iter().filter_map(|line| serde_json::from_value(line).ok()).collect();
    let Some(snapshot) = node.snapshot() else { return Ok(0) };
    Ok(node.counters.restore_bans(&snapshot.tiers, &lines, unix_ms()))
}

/// For the metrics.
pub fn store_line(node: &Node, snapshot: Option<&Snapshot>) -> SharedStoreLine {
    let Some(settings) = snapshot.and_then(|snapshot| snapshot.shared_store.as_ref()) else {
        return SharedStoreLine::default();
    };
    let (connected, open) = node.shared.standings();
    SharedStoreLine {
        connected: connected as u64,
        open: open as u64,
        openings: node.shared.openings(),
        nodes: u64::from(node.shared.nodes(settings)),
        is_bypassed: node.shared.bypassed(unix_ms()).is_some(),
    }
}

/// For the state; `null` where no limit is shared.
pub fn store(node: &Node, snapshot: Option<&Snapshot>) -> Value {
    if snapshot.is_none_or(|snapshot| snapshot.shared_store.is_none()) {
        return Value::Null;
    }
    let line = store_line(node, snapshot);
    let bypass = node.shared.bypassed(unix_ms());
    json!({
        "workers": node.options.workers,
        "connected_workers": line.connected,
        "open_workers": line.open,
        "openings": line.openings,
        "nodes": line.nodes,
        "error": node.shared.error(),
        "bypass": bypass.map(|bypass| json!({
            "counts": bypass.counts,
            "remaining_ms": bypass.until_ms.saturating_sub(unix_ms()),
        })),
    })
}

/// Shared limits are not asked about for so long; 0 ends that.
pub fn bypass(node: &Node, for_ms: u64, counts: bool) {
    let until_ms = if for_ms == 0 { 0 } else { unix_ms().saturating_add(for_ms) };
    node.shared.bypass(Bypass { until_ms, counts });
}
