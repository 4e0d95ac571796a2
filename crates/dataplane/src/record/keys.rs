//! What is counted of credentials that Python is asked about: API keys of a store, and passwords.

use super::cells::Cell;
use super::external::External;
use super::page::Kind::{Counter, Gauge};
use super::page::{Labels, Page};
use super::registry::Registry;

/// What came of asking.
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

/// One worker's questions of one kind.
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

/// Passwords that are remembered, when the page is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PasswordCacheLine {
    pub right: u64,
    pub wrong: u64,
}

/// Nonces of signed requests, when the page is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NonceLine {
    pub nonces: u64,
    /// How often there was no room for another.
    pub full: u64,
}

pub(super) fn print(page: &mut Page, registry: &Registry, external: &External) {
    let name = "gateway_key_lookups_total";
    page.heading(name, Counter, "API keys that had to be looked up in the key store, by outcome.");
    for (index, outcome) in OUTCOMES.iter().enumerate() {
        let count = registry.node().sum_at(index, |counts| &counts.key_lookups.cells);
        page.series(name, &Labels::new("outcome", outcome), count);
    }
    let cache = external.key_cache;
    let name = "gateway_key_cache_keys";
    page.heading(name, Gauge, "Answers of the key store that are remembered now.");
    page.series(name, &Labels::new("state", "known"), cache.known);
    page.series(name, &Labels::new("state", "refused"), cache.unknown);
    let help = "Known keys forgotten because `key_store.cache_keys` were known.";
    page.single("gateway_key_cache_evictions_total", Counter, help, cache.evicted);
    print_passwords(page, registry, external.password_cache);
    print_nonces(page, external.nonces);
    print_introspections(page, registry, external.opaque_tokens);
}

fn print_passwords(page: &mut Page, registry: &Registry, cache: PasswordCacheLine) {
    let name = "gateway_password_checks_total";
    page.heading(name, Counter, "Passwords that had to be checked, by outcome.");
    for (index, outcome) in OUTCOMES.iter().enumerate() {
        let count = registry.node().sum_at(index, |counts| &counts.password_checks.cells);
        page.series(name, &Labels::new("outcome", outcome), count);
    }
    let name = "gateway_password_cache_passwords";
    page.heading(name, Gauge, "Checked passwords that are remembered now.");
    page.series(name, &Labels::new("state", "right"), cache.right);
    page.series(name, &Labels::new("state", "wrong"), cache.wrong);
}

fn print_nonces(page: &mut Page, line: NonceLine) {
    page.single("gateway_nonces", Gauge, "Nonces of signed requests that are remembered now.", line.nonces);
    let help = "Signed requests refused because no further nonce could be remembered.";
    page.single("gateway_nonces_full_total", Counter, help, line.full);
}

fn print_introspections(page: &mut Page, registry: &Registry, (active, refused): (u64, u64)) {
    let name = "gateway_token_introspections_total";
    page.heading(name, Counter, "Tokens whose issuer had to be asked, by outcome.");
    for (index, outcome) in OUTCOMES.iter().enumerate() {
        let count = registry.node().sum_at(index, |counts| &counts.introspections.cells);
        page.series(name, &Labels::new("outcome", outcome), count);
    }
    let name = "gateway_token_introspection_cache_tokens";
    page.heading(name, Gauge, "Answers of issuers about tokens that are remembered now.");
    page.series(name, &Labels::new("state", "active"), active);
    page.series(name, &Labels::new("state", "refused"), refused);
}
