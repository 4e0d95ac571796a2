//! Answers of the server, read where they lie (RESP 2). Only what this node asks for is understood: numbers, lists of
//! numbers, a word, an error.

use smallvec::{SmallVec, smallvec};

use crate::limit::Told;

/// A list that is longer is none of ours.
const LONGEST_LIST: i64 = 4_096;

/// What is answered about one tier needs no memory of its own.
pub type Numbers = SmallVec<[i64; Told::WIDTH]>;

#[derive(Debug, PartialEq, Eq)]
pub enum Reply {
    Numbers(Numbers),
    /// A word such as `OK`.
    Word,
    Error(String),
}

/// Something else than an answer to what was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Strange;

/// The first answer and what follows it. `None`: not all of it is there.
pub fn read(bytes: &[u8]) -> Result<Option<(Reply, &[u8])>, Strange> {
    let Some((kind, rest)) = bytes.split_first() else { return Ok(None) };
    match kind {
        b'*' => list(rest),
        b':' => Ok(number(rest)?.map(|(number, rest)| (Reply::Numbers(smallvec![number]), rest))),
        b'+' => Ok(line(rest).map(|(_, rest)| (Reply::Word, rest))),
        b'-' => Ok(line(rest).map(|(text, rest)| (Reply::Error(String::from_utf8_lossy(text).into()), rest))),
        _ => Err(Strange),
    }
}

fn list(bytes: &[u8]) -> Result<Option<(Reply, &[u8])>, Strange> {
    let Some((length, mut rest)) = number(bytes)? else { return Ok(None) };
    if !(0..=LONGEST_LIST).contains(&length) {
        return Err(Strange);
    }
    let mut numbers = Numbers::with_capacity(usize::try_from(length).unwrap_or(0));
    for _ in 0..length {
        match rest.split_first() {
            None => return Ok(None),
            Some((b':', after)) => rest = after,
            Some(_) => return Err(Strange),
        }
        let Some((one, after)) = number(rest)? else { return Ok(None) };
        numbers.push(one);
        rest = after;
    }
    Ok(Some((Reply::Numbers(numbers), rest)))
}

/// A number and the end of its line.
fn number(bytes: &[u8]) -> Result<Option<(i64, &[u8])>, Strange> {
    let (is_negative, mut rest) = match bytes.split_first() {
        Some((b'-', rest)) => (true, rest),
        _ => (false, bytes),
    };
    let mut value = 0_i64;
    loop {
        let Some((byte, after)) = rest.split_first() else { return Ok(None) };
        match byte {
            b'0'..=b'9' => {
                let more = value.checked_mul(10).and_then(|value| value.checked_add(i64::from(byte - b'0')));
                value = more.ok_or(Strange)?;
            }
            b'\r' => return end(after).map(|rest| Some((if is_negative { -value } else { value }, rest?))),
            _ => return Err(Strange),
        }
        rest = after;
    }
}

fn end(bytes: &[u8]) -> Result<Option<&[u8]>, Strange> {
    match bytes.split_first() {
        None => Ok(None),
        Some((b'\n', rest)) => Ok(Some(rest)),
        Some(_) => Err(Strange),
    }
}

fn line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (line, rest) = bytes.split_at_checked(memchr::memchr(b'\n', bytes)?)?;
    Some((line.strip_suffix(b"\r").unwrap_or(line), rest.get(1..)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_is_understood_and_what_follows_is_left() {
        let read = |text: &'static str| read(text.as_bytes()).unwrap().unwrap();
        assert_eq!(
            read("*3\r\n:1\r\n:-20\r\n:0\r\n+OK\r\n"),
            (Reply::Numbers(smallvec![1, -20, 0]), &b"+OK\r\n"[..])
        );
        assert_eq!(read(":7\r\n"), (Reply::Numbers(smallvec![7]), &b""[..]));
        assert_eq!(read("*0\r\n"), (Reply::Numbers(smallvec![]), &b""[..]));
        assert_eq!(read("+OK\r\n:1"), (Reply::Word, &b":1"[..]));
        assert_eq!(read("-NOSCRIPT No.\r\n"), (Reply::Error("NOSCRIPT No.".to_owned()), &b""[..]));
    }

    #[test]
    fn an_answer_is_none_until_its_last_byte() {
        for whole in ["*2\r\n:15\r\n:-3\r\n", ":7\r\n", "+OK\r\n", "-ERR no\r\n"] {
            for length in 0..whole.len() {
                assert_eq!(read(&whole.as_bytes()[..length]), Ok(None), "{length} of {whole:?}");
            }
        }
    }

    #[test]
    fn whatever_else_is_strange() {
        for text in [
            "$3\r\nabc\r\n",
            "*-1\r\n",
            "*9999999\r\n",
            "*1\r\n+OK\r\n",
            ":1x\r\n",
            ":1\rx",
            ":99999999999999999999\r\n",
        ] {
            assert_eq!(read(text.as_bytes()), Err(Strange), "{text:?}");
        }
    }
}
