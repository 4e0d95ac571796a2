//! Byte ranges (RFC 9110 section 14): which parts of a file are asked for.

use crate::http1::fields::{list, parse_length};

/// A request for more parts than this gets the whole.
pub const MAX_RANGES: usize = 16;

/// The first and the last byte, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    pub first: u64,
    pub last: u64,
}

impl Range {
    pub fn length(self) -> u64 {
        self.last - self.first + 1
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selection {
    Whole,
    Parts(Vec<Range>),
    /// Well asked for, but the file ends before all of it.
    Unsatisfiable,
}

/// Reads `Range`. What is malformed, in another unit, of too many parts, or more in sum than the whole, means the whole:
/// nobody gets more bytes by asking for parts.
pub fn select(value: &[u8], length: u64) -> Selection {
    let Some((unit, set)) = value.split_at_checked(6) else { return Selection::Whole };
    if !unit.eq_ignore_ascii_case(b"bytes=") || set.iter().filter(|&&byte| byte == b',').count() >= MAX_RANGES
    {
        return Selection::Whole;
    }
    let mut parts = Vec::new();
    let mut count = 0;
    for spec in list(set) {
        count += 1;
        match range(spec, length) {
            Err(Malformed) => return Selection::Whole,
            Ok(part) => parts.extend(part),
        }
    }
    let sum = parts.iter().map(|part| part.length()).fold(0_u64, u64::saturating_add);
    match (count, parts.is_empty()) {
        (0, _) => Selection::Whole,
        (_, true) => Selection::Unsatisfiable,
        (_, false) if sum > length => Selection::Whole,
        (_, false) => Selection::Parts(parts),
    }
}

struct Malformed;

/// `None` for a part that lies behind the end.
fn range(spec: &[u8], length: u64) -> Result<Option<Range>, Malformed> {
    let dash = spec.iter().position(|&byte| byte == b'-').ok_or(Malformed)?;
    let (first, last) = (spec.get(..dash).unwrap_or_default(), spec.get(dash + 1..).unwrap_or_default());
    if first.is_empty() {
        let suffix = parse_length(last).ok_or(Malformed)?.min(length);
        return Ok((suffix > 0).then(|| Range { first: length - suffix, last: length - 1 }));
    }
    let first = parse_length(first).ok_or(Malformed)?;
    let last = if last.is_empty() { u64::MAX } else { parse_length(last).ok_or(Malformed)? };
    if last < first {
        return Err(Malformed);
    }
    Ok((first < length).then(|| Range { first, last: last.min(length - 1) }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parts(value: &str, length: u64) -> Option<Vec<(u64, u64)>> {
        match select(value.as_bytes(), length) {
            Selection::Whole => None,
            Selection::Unsatisfiable => Some(Vec::new()),
            Selection::Parts(parts) => Some(parts.iter().map(|part| (part.first, part.last)).collect()),
        }
    }

    #[test]
    fn the_examples_of_rfc_9110_come_out() {
        assert_eq!(parts("bytes=0-499", 10_000), Some(vec![(0, 499)]));
        assert_eq!(parts("bytes=500-999", 10_000), Some(vec![(500, 999)]));
        assert_eq!(parts("bytes=-500", 10_000), Some(vec![(9500, 9999)]));
        assert_eq!(parts("bytes=9500-", 10_000), Some(vec![(9500, 9999)]));
        assert_eq!(parts("bytes=0-0,-1", 10_000), Some(vec![(0, 0), (9999, 9999)]));
        assert_eq!(
            parts("bytes= 0-999, 4500-5499, -1000", 10_000),
            Some(vec![(0, 999), (4500, 5499), (9000, 9999)])
        );
    }

    #[test]
    fn what_cannot_be_given_is_unsatisfiable_and_what_makes_no_sense_is_the_whole() {
        for value in ["bytes=10-", "bytes=10-20", "bytes=-0", "bytes=99-,10-11"] {
            assert_eq!(parts(value, 10), Some(vec![]), "{value}");
        }
        assert_eq!(parts("bytes=-5", 0), Some(vec![]));
        for value in
            ["bytes", "bytes=", "bytes=a-", "bytes=5-4", "bytes=-", "items=0-1", "bytes=0-1;2", "bytes=0--1"]
        {
            assert_eq!(parts(value, 10), None, "{value}");
        }
    }

    #[test]
    fn nobody_gets_more_by_asking_for_parts() {
        assert_eq!(parts("bytes=0-5,0-5", 10), None);
        let many = |count: usize| format!("bytes={}", vec!["0-0"; count].join(","));
        assert_eq!(parts(&many(MAX_RANGES), 100).map(|parts| parts.len()), Some(MAX_RANGES));
        assert_eq!(parts(&many(MAX_RANGES + 1), 100), None);
    }

    fn spec() -> impl Strategy<Value = (Option<u64>, Option<u64>)> {
        (prop::option::of(0..30_u64), prop::option::of(0..30_u64))
    }

    /// The same, byte by byte: which places of the file does a part name?
    fn reference(specs: &[(Option<u64>, Option<u64>)], length: u64) -> Option<Vec<(u64, u64)>> {
        let mut found = Vec::new();
        for spec in specs {
            let names = |place: u64| match *spec {
                (Some(first), Some(last)) => (first..=last).contains(&place),
                (Some(first), None) => place >= first,
                (None, Some(suffix)) => place + suffix >= length,
                (None, None) => false,
            };
            let is_backwards = matches!(*spec, (Some(first), Some(last)) if last < first);
            if is_backwards || *spec == (None, None) {
                return None;
            }
            let places: Vec<u64> = (0..length).filter(|place| names(*place)).collect();
            if let (Some(first), Some(last)) = (places.first(), places.last()) {
                found.push((*first, *last));
            }
        }
        let sum: u64 = found.iter().map(|(first, last)| last - first + 1).sum();
        (!specs.is_empty() && sum <= length).then_some(found)
    }

    proptest! {
        #[test]
        fn generated_ranges_are_those_of_the_reference(
            specs in prop::collection::vec(spec(), 0..6), length in 0..25_u64,
        ) {
            let text = |end: Option<u64>| end.map_or(String::new(), |end| end.to_string());
            let texts: Vec<String> =
                specs.iter().map(|(first, last)| format!("{}-{}", text(*first), text(*last))).collect();
            prop_assert_eq!(parts(&format!("bytes={}", texts.join(", ")), length), reference(&specs, length));
        }

        #[test]
        fn no_part_lies_outside_of_the_file(value in prop::collection::vec(any::<u8>(), 0..40), length in 0..50_u64) {
            if let Selection::Parts(parts) = select(&[b"bytes=", &value[..]].concat(), length) {
                prop_assert!(parts.iter().all(|part| part.first <= part.last && part.last < length));
            }
        }
    }
}
