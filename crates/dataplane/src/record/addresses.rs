//! What is counted of addresses, and its part of the metrics page.

use super::cells::Cell;
use super::counts::count_at;
use super::external::External;
use super::page::Kind::{Counter, Gauge};
use super::page::{Labels, Page};
use super::registry::Registry;
use super::scrape::tallies;
use crate::refusal::{Barrier, Refusal};

/// In the order of `place`.
const REASONS: [&str; 7] =
    ["caller", "blocked", "denied", "not_allowed", "country", "reputation", "challenge"];

/// Requests that were refused for the address that they came from, by the reason.
#[derive(Debug, Default)]
pub struct Barred(pub(super) [Cell; REASONS.len()]);

impl Barred {
    pub(super) fn count(&self, refusal: &Refusal) {
        if let Refusal::AddressNotAllowed(barrier) = refusal {
            count_at(&self.0, place(*barrier));
        } else if let Refusal::ChallengeRequired { .. } = refusal {
            count_at(&self.0, REASONS.len() - 1);
        }
    }
}

fn place(barrier: Barrier) -> usize {
    match barrier {
        Barrier::Caller => 0,
        Barrier::Blocked { .. } => 1,
        Barrier::Denied { .. } => 2,
        Barrier::NotAllowed => 3,
        Barrier::Country(_) => 4,
        Barrier::Reputation { .. } => 5,
    }
}

/// A file of networks, countries or scores, as a scrape shows it.
#[derive(Clone, Debug, Default)]
pub struct AddressFileLine {
    /// `addresses`, `geography` or `reputation`.
    pub kind: &'static str,
    /// Of `addresses`.
    pub name: String,
    pub entries: u64,
    pub bytes: u64,
    pub loaded_ms: u64,
}

pub(super) fn print(page: &mut Page, registry: &Registry, external: &External) {
    let name = "gateway_addresses_refused_total";
    page.heading(name, Counter, "Requests refused for the address that they came from, by reason.");
    for (index, reason) in REASONS.iter().enumerate() {
        let count = registry.node().sum_at(index, |counts| &counts.barred.0);
        page.series(name, &Labels::new("reason", reason), count);
    }
    let name = "gateway_address_list_refused_total";
    page.heading(name, Counter, "Requests refused because a list of addresses denies theirs.");
    tallies(page, name, "list", &registry.address_lists);
    let help = "Networks that are blocked by hand.";
    page.single("gateway_address_blocks", Gauge, help, external.address_blocks);
    files(page, &external.address_files);
}

fn files(page: &mut Page, files: &[AddressFileLine]) {
    let labels = |file: &AddressFileLine| Labels::new("kind", file.kind).and("list", &file.name);
    let name = "gateway_address_file_entries";
    page.heading(name, Gauge, "Ranges of addresses that were read from a file.");
    for file in files {
        page.series(name, &labels(file), file.entries);
    }
    let name = "gateway_address_file_bytes";
    page.heading(name, Gauge, "Memory that they take.");
    for file in files {
        page.series(name, &labels(file), file.bytes);
    }
    let name = "gateway_address_file_loaded_timestamp_seconds";
    page.heading(name, Gauge, "Unix time at which the file was last read.");
    for file in files {
        page.seconds(name, &labels(file), file.loaded_ms);
    }
}
