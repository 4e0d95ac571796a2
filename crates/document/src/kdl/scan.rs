//! What must hold before the parser library may see a text: lexically sound, nested within bounds, no comments.

use super::fault::{Checked, fault};
use super::{strings, words};
use crate::MAX_DEPTH;

/// What stood last in the node that is being read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Last {
    /// Nothing yet: a name must follow.
    Nothing,
    Name,
    /// An argument, unless `=` follows: then it was a key.
    Argument,
    Equals,
    Property,
    /// A block that `/-` removes; the node's own may follow.
    RemovedBlock,
    Block,
}

struct Block {
    offset: usize,
    removed: bool,
    /// The block follows `/-` directly, so the node that holds it goes on after it.
    skipped: bool,
    /// The `slashdash` of the node that holds it.
    slashdash: Option<Last>,
}

struct Scan<'text> {
    text: &'text str,
    offset: usize,
    sound: String,
    blocks: Vec<Block>,
    last: Last,
    /// No space since the last word or string.
    adjacent: bool,
    /// Where a `\` stands that must end its line.
    continued: Option<usize>,
    /// A `/-` whose node may still go on.
    slashdash: Option<Last>,
    /// Nothing came after the `/-` yet.
    slashdash_waits: bool,
}

/// The text with every comment blanked and all offsets kept, or its first fault.
pub(super) fn check(text: &str) -> Checked<String> {
    let mut scan = Scan {
        text,
        offset: 0,
        sound: String::with_capacity(text.len()),
        blocks: Vec::new(),
        last: Last::Nothing,
        adjacent: false,
        continued: None,
        slashdash: None,
        slashdash_waits: false,
    };
    while let Some(next) = scan.rest().chars().next() {
        scan.step(next)?;
    }
    scan.end_of_node(scan.offset)?;
    match scan.blocks.last() {
        Some(block) => fault(block.offset, "this block is not closed; add `}`"),
        None => Ok(scan.sound),
    }
}

impl<'text> Scan<'text> {
    fn rest(&self) -> &'text str {
        self.text.get(self.offset..).unwrap_or("")
    }

    fn keep(&mut self, length: usize) {
        self.sound.push_str(self.rest().get(..length).unwrap_or(""));
        self.offset += length;
    }

    fn blank(&mut self, length: usize) {
        self.sound.extend(std::iter::repeat_n(' ', length));
        self.offset += length;
    }

    fn step(&mut self, next: char) -> Checked<()> {
        let rest = self.rest();
        if words::is_space(next) {
            self.adjacent = false;
            self.keep(next.len_utf8());
        } else if words::is_newline(next) {
            self.newline(if rest.starts_with("\r\n") { 2 } else { next.len_utf8() })?;
        } else if rest.starts_with("//") {
            self.blank(rest.find(words::is_newline).unwrap_or(rest.len()));
        } else if rest.starts_with("/*") {
            let length = comment_length(rest, self.offset)?;
            self.adjacent = false;
            self.blank(length);
        } else {
            self.token(next, rest)?;
        }
        Ok(())
    }

    fn newline(&mut self, length: usize) -> Checked<()> {
        self.adjacent = false;
        if self.continued.take().is_none() && !self.slashdash_waits {
            self.end_of_node(self.offset)?;
        }
        self.keep(length);
        Ok(())
    }

    fn token(&mut self, next: char, rest: &str) -> Checked<()> {
        if let Some(offset) = self.continued {
            return fault(offset, "outside a string, `\\` must be the last character of its line");
        }
        match next {
            '\\' => self.continued = Some(self.offset),
            '{' => return self.open(),
            '}' => return self.close(),
            ';' if self.last == Last::Nothing => {
                return fault(self.offset, "`;` ends a node; there is none here");
            }
            // The library takes this `;` for the beginning of a node.
            ';' if self.slashdash == Some(Last::Nothing) => {
                return fault(self.offset, "a node that `/-` removes must end with its line, not with `;`");
            }
            ';' => self.end_of_node(self.offset)?,
            '=' => self.equals()?,
            '/' if rest.starts_with("/-") => return self.remove(),
            '(' => return fault(self.offset, "type annotations are not supported; leave `(...)` out"),
            '/' | ')' | '[' | ']' => return fault(self.offset, format!("`{next}` must be quoted: \"...\"")),
            _ => return self.word(rest),
        }
        self.adjacent = false;
        self.keep(1);
        Ok(())
    }

    fn word(&mut self, rest: &str) -> Checked<()> {
        if self.adjacent {
            return fault(self.offset, "a space is missing before this");
        }
        let (length, is_string) = match strings::length(rest, self.offset)? {
            Some(length) => (length, true),
            None => (words::length(rest, self.offset)?, words::is_identifier(rest)),
        };
        self.last = match self.last {
            Last::Nothing if is_string => Last::Name,
            Last::Nothing => return fault(self.offset, "a node must begin with its name"),
            Last::Equals => Last::Property,
            Last::RemovedBlock | Last::Block => {
                return fault(self.offset, "a block ends its node; begin a new line or add `;`");
            }
            Last::Name | Last::Argument | Last::Property if is_string => Last::Argument,
            Last::Name | Last::Argument | Last::Property => Last::Property,
        };
        self.slashdash_waits = false;
        self.adjacent = true;
        self.keep(length);
        Ok(())
    }

    fn equals(&mut self) -> Checked<()> {
        if self.last != Last::Argument || self.slashdash_waits {
            return fault(self.offset, "`=` needs a key before it; write `name key=value`");
        }
        self.last = Last::Equals;
        Ok(())
    }

    /// `/-` removes the node, argument, property or block that follows.
    fn remove(&mut self) -> Checked<()> {
        if self.adjacent || self.last == Last::Equals || self.slashdash_waits {
            return fault(
                self.offset,
                "`/-` must stand before a node, an argument or a block, after a space",
            );
        }
        // The library reads what is removed more than once, which doubles with each level.
        if self.blocks.last().is_some_and(|block| block.removed) {
            return fault(self.offset, "`/-` inside what another `/-` removes; use `//` or `/* */`");
        }
        self.slashdash = self.slashdash.or(Some(self.last));
        self.slashdash_waits = true;
        self.keep(2);
        Ok(())
    }

    fn open(&mut self) -> Checked<()> {
        if matches!(self.last, Last::Nothing | Last::Equals) {
            return fault(self.offset, "a block needs the name of its node before it");
        }
        if self.last == Last::Block && !self.slashdash_waits {
            return fault(self.offset, "a node has one block; begin a new line or add `;`");
        }
        if self.blocks.len() >= MAX_DEPTH {
            return fault(self.offset, format!("nested more than {MAX_DEPTH} levels deep; flatten it"));
        }
        let removed = self.slashdash.is_some() || self.blocks.last().is_some_and(|block| block.removed);
        let skipped = self.slashdash_waits && self.last != Last::Block;
        self.blocks.push(Block { offset: self.offset, removed, skipped, slashdash: self.slashdash });
        self.begin_node();
        self.adjacent = false;
        self.keep(1);
        Ok(())
    }

    fn close(&mut self) -> Checked<()> {
        self.end_of_node(self.offset)?;
        let Some(block) = self.blocks.pop() else {
            return fault(self.offset, "`}` without a block to close");
        };
        self.last = if block.skipped { Last::RemovedBlock } else { Last::Block };
        self.slashdash = block.slashdash;
        self.adjacent = true;
        self.keep(1);
        Ok(())
    }

    fn end_of_node(&mut self, offset: usize) -> Checked<()> {
        if self.last == Last::Equals {
            return fault(offset, "a value is missing after `=`");
        }
        if self.slashdash_waits {
            return fault(offset, "`/-` has nothing to remove");
        }
        self.begin_node();
        Ok(())
    }

    fn begin_node(&mut self) {
        self.last = Last::Nothing;
        self.slashdash = None;
        self.slashdash_waits = false;
    }
}

/// Comments nest.
fn comment_length(rest: &str, offset: usize) -> Checked<usize> {
    let bytes = rest.as_bytes();
    let (mut depth, mut length) = (0_usize, 0_usize);
    loop {
        match (bytes.get(length), bytes.get(length + 1)) {
            (Some(b'/'), Some(b'*')) => depth += 1,
            (Some(b'*'), Some(b'/')) => depth -= 1,
            (Some(_), _) => {
                length += 1;
                continue;
            }
            (None, _) => return fault(offset, "this comment is not closed; add `*/`"),
        }
        length += 2;
        if depth == 0 {
            return Ok(length);
        }
    }
}
