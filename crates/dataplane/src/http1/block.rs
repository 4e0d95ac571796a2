//! Eight bytes looked at in one step: where heads would spend most of their instructions.

use std::ops::RangeInclusive;

const LENGTH: usize = 8;
/// A value of less is a short one.
const SHORT: usize = 16;
/// Bytes of a long value that are looked at in one step.
const LONG: usize = 32;
const ONES: u64 = u64::from_le_bytes([1; LENGTH]);
const HIGH: u64 = ONES << 7;

/// Eight bytes, the first one lowest. Answers are words too: the high bit of each byte that is meant.
#[derive(Clone, Copy)]
pub(crate) struct Block(u64);

impl Block {
    #[inline(always)]
    fn at(bytes: &[u8], at: usize) -> Option<Self> {
        bytes.get(at..)?.first_chunk().map(|chunk| Self(u64::from_le_bytes(*chunk)))
    }

    /// The bytes that lie in a range of ASCII.
    ///
    /// Seven bits plus at most 0x80 stay within their byte. The high bit of the first sum is set from the start of the
    /// range on, that of the second from behind its end on.
    #[inline(always)]
    pub(crate) fn within(self, range: RangeInclusive<u8>) -> u64 {
        let seven_bits = self.0 & !HIGH;
        let from_start = seven_bits + ONES * u64::from(0x80 - range.start());
        let behind_end = seven_bits + ONES * u64::from(0x7f - range.end());
        (from_start ^ behind_end) & !self.0 & HIGH
    }

    /// Marks the first control; of what is behind it the marks mean nothing. A tab may stand in a value too, but does so
    /// too rarely to be looked for.
    ///
    /// A subtraction borrows from the byte above only where it has marked its own.
    #[inline(always)]
    fn controls(self) -> u64 {
        let low = self.0.wrapping_sub(ONES * 0x20) & !self.0;
        let deleted = self.0 ^ (ONES * 0x7f);
        (low | deleted.wrapping_sub(ONES) & !deleted) & HIGH
    }

    /// All but small letters, digits, `-`, `_` and dots. A dot behind a dot is marked too.
    #[inline(always)]
    fn beyond_host(self) -> u64 {
        let dots = self.within(b'.'..=b'.');
        let others = self.within(b'0'..=b'9') | self.within(b'-'..=b'-') | self.within(b'_'..=b'_');
        !(self.within(b'a'..=b'z') | others | dots & !(dots << 8))
    }

    /// Letters, digits and `-`, and which of them are capitals. Other bytes may stand in a name too; those need a
    /// closer look.
    #[inline(always)]
    fn name_bytes(self) -> (u64, u64) {
        // One bit tells a capital from its small letter.
        let letters = Self(self.0 | ONES << 5).within(b'a'..=b'z');
        let members = letters | self.within(b'0'..=b'9') | self.within(b'-'..=b'-');
        (members, letters & !(self.0 << 2))
    }
}

/// Makes a header name at `at` lower case and gives the place behind it. It ends where another byte comes than
/// letters, digits and `-`.
#[inline(always)]
pub(crate) fn lower_case_name(bytes: &mut [u8], mut at: usize) -> usize {
    while let Some(chunk) = bytes.get_mut(at..).and_then(|rest| rest.first_chunk_mut::<LENGTH>()) {
        let block = Block(u64::from_le_bytes(*chunk));
        let (members, capitals) = block.name_bytes();
        let others = !members & HIGH;
        // Everything below the first other byte.
        let meant = (others & others.wrapping_neg()).wrapping_sub(1);
        *chunk = (block.0 | capitals >> 2 & meant).to_le_bytes();
        if others != 0 {
            return at + others.trailing_zeros() as usize / 8;
        }
        at += LENGTH;
    }
    while let Some(byte) = bytes.get_mut(at).filter(|byte| byte.is_ascii_alphanumeric() || **byte == b'-') {
        byte.make_ascii_lowercase();
        at += 1;
    }
    at
}

/// The place of the first byte from `at` on that does not belong to the run; the end of `bytes` where all do.
///
/// `others` marks those of a block by their high bit.
#[inline(always)]
pub(crate) fn end_of_run(bytes: &[u8], at: usize, others: impl Fn(Block) -> u64 + Copy) -> usize {
    end_of_steps::<LENGTH>(bytes, at, others)
}

/// Where a header value ends: at the first control. A short one is looked at in blocks alone.
#[inline(always)]
pub(crate) fn end_of_value(bytes: &[u8], at: usize) -> usize {
    let mut place = at;
    while place < at + SHORT
        && let Some(block) = Block::at(bytes, place)
    {
        let controls = block.controls();
        if controls != 0 {
            return place + controls.trailing_zeros() as usize / 8;
        }
        place += LENGTH;
    }
    end_of_run(bytes, skip_long(bytes, place), Block::controls)
}

/// Passes over what is certainly value: of a long one, a token above all, nearly everything.
#[inline(never)]
fn skip_long(bytes: &[u8], mut at: usize) -> usize {
    while let Some(part) = bytes.get(at..).and_then(|rest| rest.first_chunk::<LONG>())
        && !has_control(part)
    {
        at += LONG;
    }
    at
}

/// A loop over a fixed length without a branch, which the compiler turns into vector code.
#[inline(always)]
fn has_control<const COUNT: usize>(bytes: &[u8; COUNT]) -> bool {
    bytes.iter().fold(false, |found, &byte| found | (byte < 0x20) | (byte == 0x7f))
}

/// Where a host name in its usual spelling ends: no capitals, and no dot behind a dot.
pub(crate) fn end_of_host(bytes: &[u8], at: usize) -> usize {
    // The last byte of a block is the first of the next one as well, so that no pair of dots falls between two.
    end_of_steps::<{ LENGTH - 1 }>(bytes, at, Block::beyond_host)
}

#[inline(always)]
fn end_of_steps<const STEP: usize>(
    bytes: &[u8],
    mut at: usize,
    others: impl Fn(Block) -> u64 + Copy,
) -> usize {
    while let Some(block) = Block::at(bytes, at) {
        let others = others(block) & HIGH;
        if others != 0 {
            return at + others.trailing_zeros() as usize / 8;
        }
        at += STEP;
    }
    end_of_short_run(bytes, at, others)
}

/// The same for fewer than eight bytes at the end of `bytes`.
#[inline(never)]
fn end_of_short_run(bytes: &[u8], at: usize, others: impl Fn(Block) -> u64) -> usize {
    let rest = bytes.len().saturating_sub(at);
    let block = match bytes.last_chunk::<LENGTH>() {
        // What stands before the rest is shifted out.
        Some(last) => u64::from_le_bytes(*last).checked_shr(8 * (LENGTH - rest) as u32).unwrap_or(0),
        None => short_block(bytes.get(at..).unwrap_or_default()),
    };
    at + rest.min((others(Block(block)) & HIGH).trailing_zeros() as usize / 8)
}

fn short_block(bytes: &[u8]) -> u64 {
    let mut block = [0; LENGTH];
    block.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
    u64::from_le_bytes(block)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn others(block: Block) -> u64 {
        !(block.within(b'a'..=b'y') | block.within(0..=9))
    }

    fn is_host_byte(byte: &u8) -> bool {
        matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.')
    }

    proptest! {
        #[test]
        fn exactly_the_bytes_of_a_range_are_marked(bytes: [u8; 8], from in 0_u8..128, to in 0_u8..128) {
            let range = from.min(to)..=from.max(to);
            let expected = bytes.map(|byte| if range.contains(&byte) { 0x80 } else { 0 });
            prop_assert_eq!(Block(u64::from_le_bytes(bytes)).within(range).to_le_bytes(), expected);
        }

        #[test]
        fn a_run_ends_where_a_plain_search_finds_its_end(
            length in 0_usize..60, rest in prop::collection::vec(any::<u8>(), 0..40), at in 0_usize..50,
        ) {
            let bytes = [vec![b'x'; length], rest].concat();
            let at = at.min(bytes.len());
            let is_other = |byte: &u8| !matches!(byte, b'a'..=b'y' | 0..=9);
            let expected = bytes[at..].iter().position(is_other).map_or(bytes.len(), |end| at + end);
            prop_assert_eq!(end_of_run(&bytes, at, others), expected);
        }

        #[test]
        fn a_value_ends_at_its_first_control(
            length in 0_usize..150, rest in prop::collection::vec(any::<u8>(), 0..40), at in 0_usize..40,
        ) {
            let bytes = [vec![b'x'; length], rest].concat();
            let at = at.min(bytes.len());
            let expected = bytes[at..].iter().position(u8::is_ascii_control);
            prop_assert_eq!(end_of_value(&bytes, at), expected.map_or(bytes.len(), |end| at + end));
        }

        #[test]
        fn a_host_ends_at_another_byte_or_at_a_dot_behind_a_dot(
            bytes in "[a-c0._-]{0,20}[A-Za-c:. \\x00-\\xff]{0,3}[a.]{0,12}", at in 0_usize..9,
        ) {
            let bytes = bytes.as_bytes();
            let at = at.min(bytes.len());
            let ends = |place: &usize| {
                !is_host_byte(&bytes[*place]) || *place > at && bytes[place - 1..=*place] == *b".."
            };
            prop_assert_eq!(end_of_host(bytes, at), (at..bytes.len()).find(ends).unwrap_or(bytes.len()));
        }

        #[test]
        fn a_name_and_nothing_behind_it_becomes_lower_case(
            name in "[A-Za-z0-9-]{0,30}", rest in prop::collection::vec(any::<u8>(), 0..20), at in 0_usize..5,
        ) {
            let mut bytes = [&vec![b'A'; at], name.as_bytes(), &rest].concat();
            let is_other = |byte: &u8| !byte.is_ascii_alphanumeric() && *byte != b'-';
            let end = bytes[at..].iter().position(is_other).map_or(bytes.len(), |end| at + end);
            let mut expected = bytes.clone();
            expected[at..end].make_ascii_lowercase();
            prop_assert_eq!(lower_case_name(&mut bytes, at), end);
            prop_assert_eq!(bytes, expected);
        }
    }
}
