//! Reading dates of HTTP (RFC 9110 section 5.6.7): the form of today and the two old ones.

const MONTHS: [&[u8]; 12] =
    [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];

/// Epoch seconds; `None` for what is no date, or one before 1970. The day of the week is not looked at.
pub fn parse_http_date(text: &[u8]) -> Option<u64> {
    let mut words = text.split(|&byte| byte == b' ').filter(|word| !word.is_empty());
    let weekday = words.next()?;
    let rest: Vec<&[u8]> = words.collect();
    let date = match (weekday.last()?, &rest[..]) {
        (b',', [day, month, year, time, b"GMT"]) if year.len() == 4 => {
            (number(year)?, month_of(month)?, number(day)?, *time)
        }
        (b',', [date, time, b"GMT"]) => {
            let mut parts = date.split(|&byte| byte == b'-');
            let (day, month, year) = (parts.next()?, parts.next()?, parts.next()?);
            (full_year(number(year)?)?, month_of(month)?, number(day)?, *time)
        }
        (_, [month, day, time, year]) => (number(year)?, month_of(month)?, number(day)?, *time),
        _ => return None,
    };
    seconds(date)
}

/// Two digits lie within the fifty years to come, or before (RFC 9110 section 5.6.7); counted from 2026.
fn full_year(year: u64) -> Option<u64> {
    (year < 100).then(|| if year > 76 { 1900 + year } else { 2000 + year })
}

fn month_of(text: &[u8]) -> Option<u64> {
    MONTHS.iter().position(|month| *month == text).map(|place| place as u64 + 1)
}

fn number(text: &[u8]) -> Option<u64> {
    crate::http1::fields::parse_length(text).filter(|number| *number < 10_000)
}

fn seconds((year, month, day, time): (u64, u64, u64, &[u8])) -> Option<u64> {
    let mut parts = time.split(|&byte| byte == b':').map(number);
    let (hour, minute, second) = (parts.next()??, parts.next()??, parts.next()??);
    if parts.next().is_some() || hour > 23 || minute > 59 || second > 60 || day == 0 || day > 31 {
        return None;
    }
    Some(days_since_epoch(year, month, day)? * 86_400 + hour * 3_600 + minute * 60 + second)
}

/// After Howard Hinnant's `days_from_civil`.
fn days_since_epoch(year: u64, month: u64, day: u64) -> Option<u64> {
    let shifted = year.checked_sub(u64::from(month <= 2))?;
    let (era, year_of_era) = (shifted / 400, shifted % 400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    (era * 146_097 + day_of_era).checked_sub(719_468)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::respond::date::http_date;

    #[test]
    fn the_three_forms_of_rfc_9110_are_the_same_moment() {
        for text in
            ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"]
        {
            assert_eq!(parse_http_date(text.as_bytes()), Some(784_111_777), "{text}");
        }
    }

    #[test]
    fn what_is_no_date_is_none() {
        for text in [
            "",
            "yesterday",
            "Sun, 06 Nov 1994 08:49:37",
            "Sun, 06 Nov 1994 08:49:37 CET",
            "Sun, 06 Foo 1994 08:49:37 GMT",
            "Sun, 00 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 24:49:37 GMT",
            "Sun, 06 Nov 1994 08:49 GMT",
            "Sun, 06 Nov 1969 08:49:37 GMT",
            "Sun, 06 Nov 94 08:49:37 GMT",
            "Sun, -6 Nov 1994 08:49:37 GMT",
        ] {
            assert_eq!(parse_http_date(text.as_bytes()), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(second in 0..253_402_300_799_u64) {
            prop_assert_eq!(parse_http_date(http_date(second).as_bytes()), Some(second));
        }

        #[test]
        fn no_text_does_harm(text in prop::collection::vec(any::<u8>(), 0..40)) {
            parse_http_date(&text);
        }
    }
}
