//! Milliseconds since the epoch as RFC 3339 in UTC.

const SECONDS_PER_DAY: u64 = 86_400;
/// The first second of the year 10000, which RFC 3339 cannot write.
const END: u64 = 253_402_300_800;

/// Formats times; remembers the text of the last second, because most records share it with the one before.
#[derive(Debug)]
pub(super) struct Timestamp {
    second: u64,
    text: [u8; 20],
}

impl Default for Timestamp {
    fn default() -> Self {
        Self { second: 0, text: *b"1970-01-01T00:00:00." }
    }
}

impl Timestamp {
    /// Writes `2025-02-06T14:30:00.042Z`. Times after the year 9999 are written as its last second.
    pub(super) fn write(&mut self, out: &mut Vec<u8>, unix_ms: u64) {
        let second = (unix_ms / 1000).min(END - 1);
        if second != self.second {
            self.second = second;
            self.text = format(second);
        }
        out.extend_from_slice(&self.text);
        out.extend_from_slice(&three((unix_ms % 1000) as u32));
        out.push(b'Z');
    }
}

fn format(second: u64) -> [u8; 20] {
    let (year, month, day) = civil(second / SECONDS_PER_DAY);
    let rest = second % SECONDS_PER_DAY;
    let ([y1, y2], [y3, y4]) = (two(year / 100), two(year % 100));
    let ([m1, m2], [d1, d2]) = (two(month), two(day));
    let ([h1, h2], [n1, n2], [s1, s2]) = (two(rest / 3600), two(rest / 60 % 60), two(rest % 60));
    [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2, b'T', h1, h2, b':', n1, n2, b':', s1, s2, b'.']
}

/// Year, month and day, in UTC.
pub(super) fn civil_day(unix_ms: u64) -> (u64, u64, u64) {
    civil((unix_ms / 1_000).min(END - 1) / SECONDS_PER_DAY)
}

/// Year, month and day of a day since 1970-01-01.
///
/// Years are counted from the first of March, so that a leap day is the last day of its year. Day 0 of that count
/// is 0000-03-01, which is 719,468 days before the epoch; the calendar repeats every 400 years of 146,097 days.
fn civil(days_since_epoch: u64) -> (u64, u64, u64) {
    let days = days_since_epoch + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let leap_days = day_of_era / 1_460 - day_of_era / 36_524 + day_of_era / 146_096;
    let year_of_era = (day_of_era - leap_days) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    // From March on, the lengths of months repeat in groups of five with 153 days.
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

fn two(number: u64) -> [u8; 2] {
    [b'0' + (number / 10 % 10) as u8, b'0' + (number % 10) as u8]
}

/// Three decimal digits of a number below 1,000.
pub(super) fn three(number: u32) -> [u8; 3] {
    [b'0' + (number / 100 % 10) as u8, b'0' + (number / 10 % 10) as u8, b'0' + (number % 10) as u8]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(unix_ms: u64) -> String {
        let mut out = Vec::new();
        Timestamp::default().write(&mut out, unix_ms);
        String::from_utf8(out).expect("ASCII")
    }

    #[test]
    fn known_moments_are_written_as_the_calendar_says() {
        assert_eq!(text(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(text(1_738_852_200_042), "2025-02-06T14:30:00.042Z");
        assert_eq!(text(951_782_399_999), "2000-02-28T23:59:59.999Z");
        assert_eq!(text(951_782_400_000), "2000-02-29T00:00:00.000Z");
        assert_eq!(text(4_107_542_400_000), "2100-03-01T00:00:00.000Z");
        assert_eq!(text(u64::MAX).get(..20), Some("9999-12-31T23:59:59."));
    }

    #[test]
    fn each_day_of_eight_hundred_years_follows_the_day_before() {
        let mut expected = (1970, 1, 1);
        for day in 0..292_194 {
            assert_eq!(civil(day), expected, "day {day}");
            expected = next_day(expected);
        }
    }

    fn next_day((year, month, day): (u64, u64, u64)) -> (u64, u64, u64) {
        let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let length = match month {
            2 => 28 + u64::from(leap),
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        };
        match (day < length, month < 12) {
            (true, _) => (year, month, day + 1),
            (false, true) => (year, month + 1, 1),
            (false, false) => (year + 1, 1, 1),
        }
    }

    #[test]
    fn a_remembered_second_is_used_for_no_other_second() {
        let mut timestamp = Timestamp::default();
        let mut out = Vec::new();
        for unix_ms in [1_000, 1_999, 2_000, 1_001] {
            timestamp.write(&mut out, unix_ms);
        }
        assert_eq!(
            out,
            b"1970-01-01T00:00:01.000Z1970-01-01T00:00:01.999Z1970-01-01T00:00:02.000Z1970-01-01T00:00:01.001Z"
        );
    }
}
