//! Where something stands in a text.

use crate::{Entry, Node, Problem, Value};

/// Line and column, both from 1; the column in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub line: usize,
    pub column: usize,
}

impl Place {
    pub const START: Self = Self { line: 1, column: 1 };

    pub fn problem(self, message: impl Into<String>) -> Problem {
        Problem { line: self.line, column: self.column, message: message.into() }
    }

    pub fn node(self, value: Value) -> Node {
        Node { line: self.line, column: self.column, value }
    }

    pub fn entry(self, key: String, value: Node) -> Entry {
        Entry { key, line: self.line, column: self.column, value }
    }
}

/// Turns byte offsets into places. A line ends with LF, CR LF or CR, as editors count.
pub(crate) struct Lines<'text> {
    text: &'text str,
    /// Byte offsets and their places: each start of a line, and points between in long lines.
    known: Vec<(usize, Place)>,
}

/// Characters that a look-up counts at most, so a file in one long line does not take quadratic time.
const STRIDE: usize = 128;

impl<'text> Lines<'text> {
    pub fn of(text: &'text str) -> Self {
        let mut known = vec![(0, Place::START)];
        let mut at = Place::START;
        let mut characters = text.char_indices().peekable();
        while let Some((_, character)) = characters.next() {
            let next = characters.peek().copied();
            let ends_line =
                character == '\n' || (character == '\r' && next.is_none_or(|(_, next)| next != '\n'));
            if ends_line {
                at = Place { line: at.line + 1, column: 1 };
            } else {
                at.column += 1;
            }
            if ends_line || at.column.is_multiple_of(STRIDE) {
                known.push((next.map_or(text.len(), |(offset, _)| offset), at));
            }
        }
        Self { text, known }
    }

    /// The end of the text.
    pub fn end(&self) -> Place {
        self.place(self.text.len())
    }

    /// An offset past the end counts as the end.
    pub fn place(&self, offset: usize) -> Place {
        let above = self.known.partition_point(|(start, _)| *start <= offset);
        let (start, near) = self.known.get(above.saturating_sub(1)).copied().unwrap_or((0, Place::START));
        let before = self.text.get(start..).unwrap_or("").char_indices();
        let further = before.take_while(|(index, _)| start + index < offset).count();
        Place { line: near.line, column: near.column + further }
    }
}
