//! Card numbers in what a peer sends: masked but for their last four digits, by which people tell cards apart.

use std::borrow::Cow;

/// Digits that numbers of cards have.
const SHORTEST: usize = 13;
const LONGEST: usize = 19;
/// Digits at the end that stay.
const TOLD: usize = 4;

/// The text without numbers of cards: 13 to 19 digits that Luhn's check holds for and that begin as those of an issuer of
/// cards do (2 to 6; with 1, times in milliseconds would be some). Groups of digits may be apart by one space, `-`, `.`
/// or `+`, and any of it may be percent-encoded.
///
/// Nearly every text has too few digits for one; then nothing else is looked at.
#[inline]
pub(super) fn masked(text: &[u8]) -> Cow<'_, [u8]> {
    if has_few_digits(text) { Cow::Borrowed(text) } else { mask(text) }
}

/// In blocks, which the compiler turns into vector code.
#[inline]
fn has_few_digits(text: &[u8]) -> bool {
    let (blocks, rest) = text.as_chunks::<16>();
    let of_blocks: usize = blocks.iter().map(|block| usize::from(digits_of(block))).sum();
    of_blocks + usize::from(digits_of(rest)) < SHORTEST
}

/// Of at most sixteen bytes.
#[inline(always)]
fn digits_of(bytes: &[u8]) -> u8 {
    bytes.iter().map(|byte| u8::from(byte.is_ascii_digit())).sum()
}

#[cold]
fn mask(text: &[u8]) -> Cow<'_, [u8]> {
    let mut hidden: Vec<Digit> = Vec::new();
    for run in runs(text) {
        find(&run, &mut hidden);
    }
    if hidden.is_empty() {
        return Cow::Borrowed(text);
    }
    let (mut out, mut done) = (Vec::with_capacity(text.len()), 0);
    for digit in hidden {
        out.extend_from_slice(text.get(done..digit.start).unwrap_or_default());
        out.push(b'*');
        done = digit.end;
    }
    out.extend_from_slice(text.get(done..).unwrap_or_default());
    Cow::Owned(out)
}

/// A digit, and where it stands.
#[derive(Clone, Copy)]
struct Digit {
    value: u32,
    start: usize,
    end: usize,
    /// The one before is a digit, too.
    follows: bool,
}

/// Digits with at most one separator between two of them.
fn runs(text: &[u8]) -> Vec<Vec<Digit>> {
    let (mut runs, mut run) = (Vec::new(), Vec::new());
    let (mut at, mut gap) = (0, 0);
    while let Some((byte, length)) = decoded(text, at) {
        if byte.is_ascii_digit() {
            let value = u32::from(byte - b'0');
            run.push(Digit { value, start: at, end: at + length, follows: gap == 0 && !run.is_empty() });
            gap = 0;
        } else {
            gap += 1;
            if gap > 1 || !matches!(byte, b' ' | b'-' | b'.' | b'+') {
                runs.push(std::mem::take(&mut run));
            }
        }
        at += length;
    }
    runs.push(run);
    runs.retain(|run| run.len() >= SHORTEST);
    runs
}

/// The byte at this place with its escape undone, and how many bytes stand for it.
fn decoded(text: &[u8], at: usize) -> Option<(u8, usize)> {
    let rest = text.get(at..)?;
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    if let [b'%', high, low, ..] = rest
        && let (Some(high), Some(low)) = (digit(*high), digit(*low))
    {
        return Some((high << 4 | low, 3));
    }
    rest.first().map(|first| (*first, 1))
}

/// Numbers begin and end where groups do: digits inside of a longer group are no number.
fn find(run: &[Digit], hidden: &mut Vec<Digit>) {
    let sums = Sums::of(run);
    let is_end = |end: usize| run.get(end).is_none_or(|next| !next.follows);
    let mut start = 0;
    while let Some(first) = run.get(start) {
        let may_begin = !first.follows && matches!(first.value, 2..=6);
        let is_number = |length: &usize| {
            let end = start + length;
            end <= run.len() && is_end(end) && sums.hold(start, end)
        };
        let length = (SHORTEST..=LONGEST).rev().find(is_number).filter(|_| may_begin);
        if let Some(length) = length {
            hidden.extend(run.iter().skip(start).take(length - TOLD));
        }
        start += length.unwrap_or(1);
    }
}

/// Luhn's sums from the start of a run: the first with every even place doubled, the second with every odd one. Of them
/// the sum of any part follows, so that a long run costs no more than its length.
struct Sums(Vec<[u32; 2]>);

impl Sums {
    fn of(run: &[Digit]) -> Self {
        let mut sums = Vec::with_capacity(run.len() + 1);
        let mut sum = [0, 0];
        sums.push(sum);
        for (place, digit) in run.iter().enumerate() {
            let doubled = if digit.value > 4 { digit.value * 2 - 9 } else { digit.value * 2 };
            let [even, odd] = sum;
            let added = if place % 2 == 0 { [doubled, digit.value] } else { [digit.value, doubled] };
            let [to_even, to_odd] = added;
            sum = [even + to_even, odd + to_odd];
            sums.push(sum);
        }
        Self(sums)
    }

    /// The last digit counts once, the one before it twice, and so on.
    fn hold(&self, start: usize, end: usize) -> bool {
        let (Some(before), Some(after)) = (self.0.get(start), self.0.get(end)) else { return false };
        let which = end % 2;
        match (before.get(which), after.get(which)) {
            (Some(before), Some(after)) => (after - before).is_multiple_of(10),
            (_, _) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(text: &str) -> String {
        String::from_utf8(masked(text.as_bytes()).into_owned()).expect("UTF-8")
    }

    #[test]
    fn a_card_number_keeps_its_last_four_digits() {
        for (number, told) in [
            ("4111111111111111", "************1111"),
            ("4222222222222", "*********2222"),
            ("378282246310005", "***********0005"),
            ("5555555555554444", "************4444"),
            ("6304000000000000000", "***************0000"),
            ("2223003122003222", "************3222"),
        ] {
            assert_eq!(text(&format!("/pay/{number}/x")), format!("/pay/{told}/x"));
        }
    }

    #[test]
    fn groups_and_escapes_hide_no_number() {
        for (written, told) in [
            ("4111 1111 1111 1111", "**** **** **** 1111"),
            ("4111-1111-1111-1111", "****-****-****-1111"),
            ("a=4111+1111+1111+1111&b=1", "a=****+****+****+1111&b=1"),
            ("4111%201111%201111%201111", "****%20****%20****%201111"),
            ("%34111111111111111", "************1111"),
            ("3782.822463.10005", "****.******.*0005"),
            ("2026-11-27-4111111111111111-7", "2026-11-27-************1111-7"),
            ("4111111111111111 4222222222222", "************1111 *********2222"),
        ] {
            assert_eq!(text(written), told);
        }
    }

    #[test]
    fn other_digits_stay() {
        for other in [
            "",
            "4111111111111112",
            "/t/1700000000000",
            "1111111111111117",
            "41111111111111111111111",
            "411111111111 and 1111",
            "4111--1111--1111--1111",
            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/130.0.6723.116 Safari/537.36",
        ] {
            assert_eq!(text(other), other);
        }
    }

    /// With its check digit.
    fn number(mut digits: Vec<u32>) -> String {
        let doubled = |digit: u32| if digit > 4 { digit * 2 - 9 } else { digit * 2 };
        let places = digits.iter().rev().enumerate();
        let sum: u32 =
            places.map(|(place, digit)| if place % 2 == 0 { doubled(*digit) } else { *digit }).sum();
        digits.push((10 - sum % 10) % 10);
        digits.iter().filter_map(|digit| char::from_digit(*digit, 10)).collect()
    }

    proptest! {
        #[test]
        fn every_number_is_masked_wherever_it_stands(
            first in 2u32..=6,
            middle in proptest::collection::vec(0u32..10, 11..=17),
            before in "[a-z/=& ]{0,40}",
            after in "[a-z/=& ]{0,40}",
        ) {
            let number = number([vec![first], middle].concat());
            let written = text(&format!("{before}x{number}x{after}"));
            let told = &number[number.len() - TOLD..];
            let expected = format!("{before}x{}{told}x{after}", "*".repeat(number.len() - TOLD));
            prop_assert_eq!(written, expected);
        }

        #[test]
        fn any_bytes_stay_as_long_as_they_are_or_lose_escapes(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let out = masked(&bytes);
            prop_assert!(out.len() <= bytes.len());
            prop_assert_eq!(masked(&out).into_owned(), out.into_owned());
        }
    }
}
