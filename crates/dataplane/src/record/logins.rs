//! What is counted of logins with a browser.

use super::cells::Cell;
use super::page::Kind::Counter;
use super::page::{Labels, Page};
use super::registry::Registry;

/// What became of a browser that has logged in, or tried to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoginEvent {
    /// It was sent to the provider.
    Started,
    Completed,
    Failed,
    Refreshed,
    /// The provider has ended the session.
    RefreshRefused,
    /// The provider could not be asked.
    RefreshFailed,
    LoggedOut,
    /// The session has ended on this node, and nobody else could be told in time.
    LogoutUntold,
}

/// In the order of `LoginEvent`.
const EVENTS: [&str; 8] = [
    "started",
    "completed",
    "failed",
    "refreshed",
    "refresh_refused",
    "refresh_failed",
    "logged_out",
    "logout_untold",
];

/// One worker's.
#[derive(Debug, Default)]
pub struct Logins {
    cells: [Cell; EVENTS.len()],
}

impl Logins {
    pub fn count(&self, event: LoginEvent) {
        if let Some(cell) = self.cells.get(event as usize) {
            cell.add(1);
        }
    }
}

pub(super) fn print(page: &mut Page, registry: &Registry) {
    let name = "gateway_logins_total";
    page.heading(name, Counter, "Logins with a browser and what became of their sessions, by event.");
    for (index, event) in EVENTS.iter().enumerate() {
        let count = registry.node().sum_at(index, |counts| &counts.logins.cells);
        page.series(name, &Labels::new("event", event), count);
    }
}
