//! What walks of hosts and paths find, and who takes it.

use super::parameters::Parameters;

/// A route at one place of the table. Lists of them are sorted by rank.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    /// The lower one wins. Unique in the table: a route has one rank per host.
    pub(super) rank: u32,
    pub(super) route: u32,
}

/// Takes the candidates that match by host and path.
pub(super) trait Sink {
    /// Candidates of this rank or higher are of no interest any more.
    fn limit(&self) -> u32;
    fn offer(&mut self, candidates: &[Candidate], bound: &Parameters);
}
