//! What is shown of revoked tokens, and of the proofs that bound tokens come with.

use super::external::External;
use super::page::Kind::{Counter, Gauge};
use super::page::Page;

/// How full the list is, when the page is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RevocationLine {
    pub held: u64,
    pub most: u64,
    /// Entries that all tokens of an identity stand in for.
    pub covered: u64,
}

/// Proofs that are remembered, when the page is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProofLine {
    pub proofs: u64,
    /// How often there was no room for another.
    pub full: u64,
}

pub(super) fn print(page: &mut Page, external: &External) {
    let RevocationLine { held, most, covered } = external.revocations;
    let help = "Revocations of tokens that are held against every token.";
    page.single("gateway_token_revocations", Gauge, help, held);
    let help = "`revocations.max_entries`, as many as are held at most.";
    page.single("gateway_token_revocations_limit", Gauge, help, most);
    let help = "Revocations without room, in whose place all tokens of an identity were revoked.";
    page.single("gateway_token_revocations_covered", Gauge, help, covered);
    let ProofLine { proofs, full } = external.proofs;
    page.single("gateway_token_proofs", Gauge, "Proofs of tokens (DPoP) that are remembered now.", proofs);
    let help = "Requests refused because no further proof could be remembered.";
    page.single("gateway_token_proofs_full_total", Counter, help, full);
}
