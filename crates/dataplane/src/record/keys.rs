//! What is counted of API keys that are looked up in a store.

use super::cells::Cell;
use super::external::External;
use super::registry::Registry;
use super::text::Kind::{Counter, Gauge};
use super::text::{Labels, Text};

/// What came of looking a key up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyLookup {
    Answered,
    Failed,
    Late,
    Full,
    PerAddress,
}

/// In the order of `KeyLookup`.
const OUTCOMES: [&str; 5] = ["answered", "failed", "late", "full", "per_address"];

/// One worker's look-ups.
#[derive(Debug, Default)]
pub struct KeyLookups {
    cells: [Cell; OUTCOMES.len()],
}

impl KeyLookups {
    pub fn count(&self, lookup: KeyLookup) {
        if let Some(cell) = self.cells.get(lookup as usize) {
            cell.add(1);
        }
    }
}

/// The cache of the key store, when the page is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeyCacheLine {
    pub known: u64,
    pub unknown: u64,
    /// Known keys that were forgotten because as many were known as may be.
    pub evicted: u64,
}

pub(super) fn print(text: &mut Text, registry: &Registry, external: &External) {
    let name = "gateway_key_lookups_total";
    text.heading(name, Counter, "API keys that had to be looked up in the key store, by outcome.");
    for (index, outcome) in OUTCOMES.iter().enumerate() {
        let count = registry.node().sum_at(index, |counts| &counts.key_lookups.cells);
        text.series(name, &Labels::new("outcome", outcome), count);
    }
    let cache = external.key_cache;
    let name = "gateway_key_cache_keys";
    text.heading(name, Gauge, "Answers of the key store that are remembered now.");
    text.series(name, &Labels::new("state", "known"), cache.known);
    text.series(name, &Labels::new("state", "refused"), cache.unknown);
    let help = "Known keys forgotten because `key_store.cache_keys` were known.";
    text.single("gateway_key_cache_evictions_total", Counter, help, cache.evicted);
}
