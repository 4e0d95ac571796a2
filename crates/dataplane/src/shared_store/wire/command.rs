//! What is asked, as bytes, written behind what others ask.

use crate::limit::{Line, Mode, SCRIPT};

/// Arguments of a line beside its key.
const FIELDS: usize = 10;

/// How the script is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Script<'a> {
    /// By its digest: the server is believed to know it.
    Named(&'a str),
    Whole,
}

/// A command of words.
pub fn put_words(out: &mut Vec<u8>, words: &[&[u8]]) {
    put_head(out, b'*', words.len());
    words.iter().for_each(|word| put(out, word));
}

/// What was written last of a line, beside its key: mostly it is the same again, as it comes from the tier.
#[derive(Debug, Default)]
pub struct Terms {
    of: Option<Numbers>,
    text: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Numbers {
    kind: &'static str,
    limits: [u64; 4],
    charged: i64,
    block: u64,
    mode: Mode,
    period: (u64, u64),
}

impl Numbers {
    fn of(line: &Line) -> Self {
        let Line { kind, limit, window, room, needed, charged, block, mode, period, .. } = *line;
        Self { kind, limits: [limit, window, room, needed], charged, block, mode, period }
    }

    fn put(&self, out: &mut Vec<u8>) {
        put(out, self.kind.as_bytes());
        self.limits.into_iter().for_each(|number| put_number(out, number));
        match u64::try_from(self.charged) {
            Ok(charged) => put_number(out, charged),
            Err(_) => put(out, itoa::Buffer::new().format(self.charged).as_bytes()),
        }
        let (period, ends) = self.period;
        [self.block, self.mode as u64, period, ends].into_iter().for_each(|number| put_number(out, number));
    }
}

impl Terms {
    fn put(&mut self, out: &mut Vec<u8>, line: &Line) {
        let numbers = Numbers::of(line);
        if self.of != Some(numbers) {
            self.text.clear();
            numbers.put(&mut self.text);
            self.of = Some(numbers);
        }
        out.extend_from_slice(&self.text);
    }
}

/// One call of the script about these lines.
pub fn put_call<'l>(
    out: &mut Vec<u8>,
    terms: &mut Terms,
    script: Script<'_>,
    lines: impl ExactSizeIterator<Item = &'l Line> + Clone,
) {
    put_head(out, b'*', 4 + lines.len() * (FIELDS + 1));
    match script {
        Script::Named(name) => {
            out.extend_from_slice(b"$7\r\nEVALSHA\r\n");
            put(out, name.as_bytes());
        }
        Script::Whole => {
            out.extend_from_slice(b"$4\r\nEVAL\r\n");
            put(out, SCRIPT.as_bytes());
        }
    }
    put_number(out, lines.len() as u64);
    lines.clone().for_each(|line| put(out, line.key.as_bytes()));
    // The clock is the server's, so that those of the nodes do not matter.
    put_number(out, 0);
    lines.for_each(|line| terms.put(out, line));
}

fn put_number(out: &mut Vec<u8>, number: u64) {
    match u8::try_from(number) {
        Ok(digit @ 0..=9) => out.extend_from_slice(&[b'$', b'1', b'\r', b'\n', b'0' + digit, b'\r', b'\n']),
        _ => put(out, itoa::Buffer::new().format(number).as_bytes()),
    }
}

fn put(out: &mut Vec<u8>, word: &[u8]) {
    put_head(out, b'$', word.len());
    out.extend_from_slice(word);
    out.extend_from_slice(b"\r\n");
}

fn put_head(out: &mut Vec<u8>, kind: u8, length: usize) {
    match u8::try_from(length) {
        Ok(digit @ 0..=9) => out.extend_from_slice(&[kind, b'0' + digit, b'\r', b'\n']),
        Ok(two @ 10..=99) => out.extend_from_slice(&[kind, b'0' + two / 10, b'0' + two % 10, b'\r', b'\n']),
        _ => {
            out.push(kind);
            out.extend_from_slice(itoa::Buffer::new().format(length).as_bytes());
            out.extend_from_slice(b"\r\n");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_what_the_library_for_redis_writes() {
        let line = |key: &str, charged| Line {
            key: key.to_owned(),
            kind: "b",
            limit: 100,
            window: 60_000,
            room: 9,
            needed: 10,
            charged,
            block: 99,
            mode: Mode::Forced,
            period: (20_000, 1_800_000_000_000),
        };
        let lines = [line("rate:{user:ann}:t", 1), line(&"k".repeat(100), -12)];
        for (script, word, text) in
            [(Script::Named("abc"), "EVALSHA", "abc"), (Script::Whole, "EVAL", SCRIPT)]
        {
            let mut out = Vec::new();
            put_call(&mut out, &mut Terms::default(), script, lines.iter());
            let mut expected = redis::cmd(word);
            expected.arg(text).arg(2).arg(&lines[0].key).arg(&lines[1].key).arg(0);
            for line in &lines {
                expected.arg(line.kind).arg(line.limit).arg(line.window).arg(line.room).arg(line.needed);
                expected.arg(line.charged).arg(line.block).arg(line.mode as u8);
                expected.arg(line.period.0).arg(line.period.1);
            }
            assert_eq!(out, expected.get_packed_command());
        }
        // What is remembered of a line is not said of another.
        let (mut terms, mut again) = (Terms::default(), Vec::new());
        let others = [line("a", 1), line("b", 1), Line { window: 1, ..line("c", 1) }, line("d", 1)];
        for one in &others {
            let (mut alone, once) = (Vec::new(), std::slice::from_ref(one));
            put_call(&mut alone, &mut Terms::default(), Script::Whole, once.iter());
            again.clear();
            put_call(&mut again, &mut terms, Script::Whole, once.iter());
            assert_eq!(again, alone);
        }
        let mut out = Vec::new();
        put_words(&mut out, &[b"AUTH", b"", b"secret"]);
        assert_eq!(out, redis::cmd("AUTH").arg("").arg("secret").get_packed_command());
    }
}
