//! Strings of KDL 2, checked whole: quoted or raw, on one line or several.

use super::fault::{Checked, fault};
use super::words::{is_disallowed, is_newline, is_space};

/// Bytes of the string that the text begins with; `None` where it does not begin with one.
pub(super) fn length(rest: &str, offset: usize) -> Checked<Option<usize>> {
    let hashes = rest.bytes().take_while(|byte| *byte == b'#').count();
    let after = rest.get(hashes..).unwrap_or("");
    if !after.starts_with('"') {
        return Ok(None);
    }
    let raw = hashes > 0;
    let marks = rest.get(..hashes).unwrap_or("");
    let string = Literal { text: after, marks, raw, offset };
    let after_quotes = after.strip_prefix("\"\"\"");
    let inner = match after_quotes {
        Some(body) if body.starts_with(is_newline) => string.several_lines(body)?,
        Some(_) if !raw => {
            return fault(
                offset,
                "a line must end after the opening `\"\"\"`; use one `\"` for a single line",
            );
        }
        Some(_) | None => string.one_line()?,
    };
    Ok(Some(hashes + inner))
}

struct Literal<'text> {
    /// From the first quote on.
    text: &'text str,
    /// The `#`s of a raw string, which its end repeats.
    marks: &'text str,
    raw: bool,
    /// Where the string begins, for what is wrong with the whole of it.
    offset: usize,
}

impl Literal<'_> {
    fn place(&self, index: usize) -> usize {
        self.offset + self.marks.len() + index
    }

    fn one_line(&self) -> Checked<usize> {
        let end = format!("\"{}", self.marks);
        let mut index = 1;
        while let Some(next) = self.text.get(index..).and_then(|rest| rest.chars().next()) {
            if self.text.get(index..).is_some_and(|rest| rest.starts_with(&end)) {
                return self.ended(index, end.len());
            }
            if is_newline(next) {
                break;
            }
            index += self.character(index, next)?;
        }
        fault(
            self.offset,
            "this string is not closed on its line; close it, or use `\"\"\"` for several lines",
        )
    }

    /// The library cannot tell `#"""#` from the beginning of a string of several lines.
    fn ended(&self, index: usize, end: usize) -> Checked<usize> {
        if self.raw && self.text.get(1..index) == Some("\"") {
            return fault(self.offset, "a raw string cannot be a single quote; write \"\\\"\"");
        }
        Ok(index + end)
    }

    /// Bytes of one character of the content, or of one escape.
    fn character(&self, index: usize, next: char) -> Checked<usize> {
        if is_disallowed(next) {
            let message = format!("invisible character U+{:04X}; write it as `\\u{{...}}`", u32::from(next));
            return fault(self.place(index), message);
        }
        if self.raw || next != '\\' {
            return Ok(next.len_utf8());
        }
        let escape = self.text.get(index + 1..).unwrap_or("");
        match escape_length(escape) {
            Some(length) => Ok(1 + length),
            None => fault(
                self.place(index),
                "unknown escape; write `\\\\` for a backslash, or a raw string #\"...\"#",
            ),
        }
    }

    /// `body` follows the opening quotes. Each line must begin with the white space before the closing quotes.
    fn several_lines(&self, body: &str) -> Checked<usize> {
        let end = format!("\"\"\"{}", self.marks);
        let mut lines: Vec<(usize, &str)> = Vec::new();
        let mut remaining = after_newline(body);
        while let Some(rest) = remaining {
            let index = self.text.len() - rest.len();
            let content = rest.trim_start_matches(is_space);
            let spaces = rest.len() - content.len();
            if content.starts_with(&end) {
                self.demand_indent(&lines, rest.get(..spaces).unwrap_or(""))?;
                return Ok(index + spaces + end.len());
            }
            let line = rest.get(..rest.find(is_newline).unwrap_or(rest.len())).unwrap_or("");
            self.line(index, line, &end)?;
            lines.push((index, line));
            remaining = rest.get(line.len()..).and_then(after_newline);
        }
        fault(self.offset, format!("this string is not closed; put `{end}` on a line of its own"))
    }

    fn line(&self, start: usize, line: &str, end: &str) -> Checked<()> {
        let mut index = 0;
        while let Some(rest) = line.get(index..).filter(|rest| !rest.is_empty()) {
            if rest.starts_with(end) {
                return fault(self.place(start + index), format!("`{end}` must stand on a line of its own"));
            }
            let next = rest.chars().next().unwrap_or(' ');
            if next == '\\' && !self.raw && rest.chars().skip(1).all(is_space) {
                let message =
                    "escaped line ends are not supported in strings of several lines; join the lines";
                return fault(self.place(start + index), message);
            }
            let length = self.character(start + index, next)?;
            index += length;
        }
        Ok(())
    }

    fn demand_indent(&self, lines: &[(usize, &str)], indent: &str) -> Checked<()> {
        for (start, line) in lines {
            if !line.starts_with(indent) && !line.chars().all(is_space) {
                let message =
                    "indent this line like the closing `\"\"\"`, or further, with the same white space";
                return fault(self.place(*start), message);
            }
        }
        Ok(())
    }
}

/// Bytes after the backslash, where they are an escape.
fn escape_length(escape: &str) -> Option<usize> {
    let first = escape.chars().next()?;
    if r#"\"bfnrts"#.contains(first) {
        return Some(1);
    }
    if is_space(first) || is_newline(first) {
        return Some(
            escape.len() - escape.trim_start_matches(|next| is_space(next) || is_newline(next)).len(),
        );
    }
    let digits = escape.strip_prefix("u{")?.split_once('}')?.0;
    let sound = (1..=6).contains(&digits.len()) && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    let number = u32::from_str_radix(digits, 16).ok().filter(|_| sound)?;
    char::from_u32(number).map(|_| digits.len() + 3)
}

/// What follows the line end that the text begins with.
fn after_newline(text: &str) -> Option<&str> {
    text.strip_prefix("\r\n").or_else(|| text.strip_prefix(is_newline))
}
