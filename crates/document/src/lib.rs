//! Configuration text to data with positions, for YAML 1.2 and KDL 2.
//!
//! Both formats give the same [`Node`] tree, so one model reads either. `kdl` says how KDL nodes become lists and maps;
//! `yaml` says which parts of YAML are refused.

mod json;
mod kdl;
mod place;
mod yaml;

pub use json::to_json;

use place::Place;

/// Bytes of one text above which it is refused.
pub const MAX_BYTES: usize = 4 * 1024 * 1024;
/// Lists and maps inside each other, above which a text is refused.
pub const MAX_DEPTH: usize = 64;
/// Nodes that all aliases of a YAML text together may expand to.
pub const MAX_ALIAS_NODES: usize = 100_000;
/// Problems after which reading stops.
pub const MAX_PROBLEMS: usize = 1_000;

/// Ample for `MAX_DEPTH` levels of either parser, whatever stack the caller has left.
const STACK_BYTES: usize = 32 * 1024 * 1024;

/// A notation that configuration can be written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// YAML 1.2, core schema.
    Yaml,
    /// KDL 2.
    Kdl,
}

impl Format {
    /// The format called `yaml` or `kdl`; `None` for any other name.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "yaml" => Some(Self::Yaml),
            "kdl" => Some(Self::Kdl),
            _ => None,
        }
    }
}

/// A value and where it was written. Lines and columns count from 1, columns in characters.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    pub line: usize,
    pub column: usize,
    pub value: Value,
}

/// What a node holds. Floats are always finite.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Null,
    Bool(bool),
    Integer(i64),
    Float(f64),
    Text(String),
    List(Vec<Node>),
    /// In the order of the text; keys are unique.
    Map(Vec<Entry>),
}

/// One field of a map, and where its key was written.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    pub key: String,
    pub line: usize,
    pub column: usize,
    pub value: Node,
}

/// Why a text was refused: what, where, and what would work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub line: usize,
    pub column: usize,
    pub message: String,
}

/// Read one text. An empty one is an empty map at 1:1. A byte order mark at the start is skipped and not counted.
///
/// Refuses, with every problem found up to the first syntax error: bad syntax, repeated keys, texts over [`MAX_BYTES`],
/// nesting over [`MAX_DEPTH`], control characters, integers outside 64 bits, numbers that are not finite. Never panics;
/// reads on a thread of its own, so the depth of the caller's stack does not matter.
pub fn parse(text: &str, format: Format) -> Result<Node, Vec<Problem>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.len() > MAX_BYTES {
        let message = format!("the file is larger than {} MiB; split it into several", MAX_BYTES >> 20);
        return Err(vec![Place::START.problem(message)]);
    }
    if let Some(problem) = control_character(text) {
        return Err(vec![problem]);
    }
    let read = match format {
        Format::Yaml => yaml::read,
        Format::Kdl => kdl::read,
    };
    contain(|| read(text))
}

/// Neither a panic of a parser library nor its use of the stack may reach the caller.
fn contain<Read>(read: Read) -> Result<Node, Vec<Problem>>
where
    Read: FnOnce() -> Result<Node, Vec<Problem>> + Send,
{
    let failed = |message: String| Err(vec![Place::START.problem(message)]);
    std::thread::scope(|scope| {
        let builder = std::thread::Builder::new().name("document".to_owned()).stack_size(STACK_BYTES);
        match builder.spawn_scoped(scope, read) {
            Ok(thread) => thread
                .join()
                .unwrap_or_else(|_| failed("the parser failed on this text; simplify its syntax".to_owned())),
            Err(error) => failed(format!("cannot start a thread to read the file: {error}")),
        }
    })
}

/// The parsers disagree about these: one of them takes a NUL for the end of the text and would drop the rest unsaid.
fn control_character(text: &str) -> Option<Problem> {
    let refused =
        |character: char| character.is_control() && !matches!(character, '\t' | '\n' | '\r' | '\u{85}');
    let (offset, found) = text.char_indices().find(|(_, character)| refused(*character))?;
    let message =
        format!("control character U+{:04X}; write it as an escape in double quotes", u32::from(found));
    Some(place::Lines::of(text).place(offset).problem(message))
}

#[cfg(test)]
mod tests;
