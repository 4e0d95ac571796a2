//! Days and months, in UTC or in a zone whose changes of offset Python has looked up.

use super::rule::Period;
use crate::snapshot::document::{CalendarDocument, CalendarUnit};

const DAY_MS: i64 = 86_400_000;

/// Where the days or months of a tier begin.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Calendar {
    is_monthly: bool,
    /// From when on (milliseconds since the epoch) which offset to UTC holds, in milliseconds; in order. Before the first, UTC.
    offsets: Box<[(i64, i64)]>,
}

impl Calendar {
    pub(super) fn compile(document: &CalendarDocument) -> Result<Self, String> {
        let offsets: Box<[_]> = document.offsets.iter().copied().collect();
        if !offsets.is_sorted_by_key(|(from, _)| *from) {
            return Err("the offsets of its zone are out of order".to_owned());
        }
        if offsets.iter().any(|(_, offset)| offset.abs() > DAY_MS) {
            return Err("an offset of its zone is longer than a day".to_owned());
        }
        Ok(Self { is_monthly: document.unit == CalendarUnit::Month, offsets })
    }

    /// The day or month of this moment.
    pub(super) fn period_at(&self, now_ms: u64) -> Period {
        let now = i64::try_from(now_ms).unwrap_or(i64::MAX / 2);
        let day = now.saturating_add(self.offset_at(now)).div_euclid(DAY_MS);
        let (index, next) = if self.is_monthly {
            let (year, month) = civil_month(day);
            let index = year * 12 + month - 1;
            (index, first_day(index + 1))
        } else {
            (day, day + 1)
        };
        let end_ms = u64::try_from(self.begins(next)).unwrap_or(0).max(now_ms.saturating_add(1));
        Period { index: u64::try_from(index).unwrap_or(0), end_ms }
    }

    /// The moment at which a local day begins. Where the clock skips midnight, the day begins with what follows.
    fn begins(&self, day: i64) -> i64 {
        let local = day.saturating_mul(DAY_MS);
        // The offset at midnight is that of some moment within a day of it.
        let guess = local - self.offset_at(local - DAY_MS / 2);
        let begins = local - self.offset_at(guess);
        if begins == guess { guess } else { begins.min(guess) }
    }

    fn offset_at(&self, moment: i64) -> i64 {
        let known = self.offsets.partition_point(|(from, _)| *from <= moment);
        known.checked_sub(1).and_then(|last| self.offsets.get(last)).map_or(0, |(_, offset)| *offset)
    }
}

/// Year and month (from 1) of a day since the epoch, in the Gregorian calendar; years counted from March make the
/// leap day the last of its year.
fn civil_month(day: i64) -> (i64, i64) {
    let shifted = day + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (era * 400 + year_of_era + i64::from(month <= 2), month)
}

/// The first day, since the epoch, of a month counted from the year 0.
fn first_day(month_index: i64) -> i64 {
    let (year, month) = (month_index.div_euclid(12), month_index.rem_euclid(12) + 1);
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let from_march = if month > 2 { month - 3 } else { month + 9 };
    let day_of_year = (153 * from_march + 2) / 5;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000;

    fn calendar(unit: CalendarUnit, offsets: &[(i64, i64)]) -> Calendar {
        Calendar::compile(&CalendarDocument { unit, offsets: offsets.to_vec() }).unwrap()
    }

    #[test]
    fn months_of_utc_have_their_lengths_leap_days_included() {
        let months = calendar(CalendarUnit::Month, &[]);
        // 2024-02-10, 2024-12-31 23:59:59.999, 2026-11-27, 2100-02-28 (no leap year).
        for (now, end) in [
            (1_707_523_200_000, 1_709_251_200_000),
            (1_735_689_599_999, 1_735_689_600_000),
            (1_795_737_600_000, 1_796_083_200_000),
            (4_107_456_000_000, 4_107_542_400_000),
        ] {
            assert_eq!(months.period_at(now).end_ms, end, "{now}");
        }
        assert_eq!(months.period_at(0), Period { index: 1970 * 12, end_ms: 31 * DAY_MS as u64 });
    }

    #[test]
    fn periods_follow_one_another_without_a_gap() {
        for unit in [CalendarUnit::Day, CalendarUnit::Month] {
            // Berlin: summer time from 2026-03-29 01:00 UTC to 2026-10-25 01:00 UTC.
            let offsets = [(0, HOUR), (1_774_746_000_000, 2 * HOUR), (1_792_890_000_000, HOUR)];
            let calendar = calendar(unit, &offsets);
            let mut period = calendar.period_at(1_767_225_600_000);
            for _ in 0..24 * 30 {
                let next = calendar.period_at(period.end_ms);
                assert_eq!(next.index, period.index + 1);
                assert_eq!(calendar.period_at(next.end_ms - 1), next);
                let length = (next.end_ms - period.end_ms) as i64;
                if unit == CalendarUnit::Day {
                    assert!([23 * HOUR, 24 * HOUR, 25 * HOUR].contains(&length), "{length}");
                }
                period = next;
            }
        }
    }

    #[test]
    fn a_day_of_a_zone_begins_at_its_own_midnight() {
        let berlin = calendar(CalendarUnit::Day, &[(0, HOUR)]);
        // 2026-01-01 22:59:59.999 UTC is still that day there, a millisecond later it is not.
        assert_eq!(berlin.period_at(1_767_308_399_999).end_ms, 1_767_308_400_000);
        assert_eq!(berlin.period_at(1_767_308_400_000).end_ms, 1_767_308_400_000 + DAY_MS as u64);
    }
}
