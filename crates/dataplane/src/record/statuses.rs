//! Responses by status: the usual codes each, all others by class, so that a route stays small.

use super::cells::Cell;

/// The codes that are told apart, then the classes, then what is no status at all (the client left before one).
const LABELS: [&str; SLOTS] = [
    "101", "200", "201", "202", "204", "206", "301", "302", "303", "304", "307", "308", "400", "401", "403",
    "404", "405", "408", "409", "410", "413", "414", "415", "422", "429", "431", "499", "500", "501", "502",
    "503", "504", "1xx", "2xx", "3xx", "4xx", "5xx", "none",
];
const CODES: [u16; 32] = [
    101, 200, 201, 202, 204, 206, 301, 302, 303, 304, 307, 308, 400, 401, 403, 404, 405, 408, 409, 410, 413,
    414, 415, 422, 429, 431, 499, 500, 501, 502, 503, 504,
];
const SLOTS: usize = CODES.len() + 6;
const NONE: u8 = SLOTS as u8 - 1;

/// Status to slot, so that counting one is a single look-up.
static SLOT_OF: [u8; 600] = slots();

#[expect(
    clippy::indexing_slicing,
    reason = "runs in the compiler, where an index out of range is a compile error"
)]
const fn slots() -> [u8; 600] {
    let mut slots = [NONE; 600];
    let mut status = 100;
    while status < slots.len() {
        slots[status] = (CODES.len() + status / 100 - 1) as u8;
        status += 1;
    }
    let mut slot = 0;
    while slot < CODES.len() {
        slots[CODES[slot] as usize] = slot as u8;
        slot += 1;
    }
    slots
}

#[derive(Debug)]
pub(super) struct Statuses([Cell; SLOTS]);

impl Default for Statuses {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Cell::default()))
    }
}

impl Statuses {
    pub(super) fn count(&self, status: u16) {
        let slot = SLOT_OF.get(usize::from(status)).copied().unwrap_or(NONE);
        if let Some(cell) = self.0.get(usize::from(slot)) {
            cell.add(1);
        }
    }
}

#[derive(Debug)]
pub(super) struct StatusTotals([u64; SLOTS]);

impl Default for StatusTotals {
    fn default() -> Self {
        Self([0; SLOTS])
    }
}

impl StatusTotals {
    pub(super) fn add(&mut self, statuses: &Statuses) {
        for (total, cell) in self.0.iter_mut().zip(&statuses.0) {
            *total += cell.get();
        }
    }

    /// Label and count of each status that was seen.
    pub(super) fn seen(&self) -> impl Iterator<Item = (&'static str, u64)> {
        LABELS.iter().copied().zip(self.0.iter().copied()).filter(|(_, count)| *count > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn label(status: u16) -> &'static str {
        let statuses = Statuses::default();
        statuses.count(status);
        let mut totals = StatusTotals::default();
        totals.add(&statuses);
        totals.seen().next().expect("it was counted").0
    }

    #[test]
    fn a_usual_code_has_its_own_label() {
        for code in CODES {
            assert_eq!(label(code), code.to_string());
        }
    }

    #[test]
    fn an_unusual_code_is_counted_in_its_class() {
        assert_eq!(
            [label(100), label(299), label(399), label(418), label(599)],
            ["1xx", "2xx", "3xx", "4xx", "5xx"]
        );
    }

    #[test]
    fn what_is_no_status_is_counted_as_none() {
        assert_eq!([label(0), label(99), label(600), label(u16::MAX)], ["none"; 4]);
    }
}
