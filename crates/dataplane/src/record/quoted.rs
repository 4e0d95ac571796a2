//! Names as records tell them, made once for all records.

use super::line::{literal, text};

/// A name as a JSON string.
#[derive(Debug)]
pub struct Quoted(Box<[u8]>);

impl Quoted {
    pub fn new(name: &str) -> Self {
        let mut out = Vec::new();
        text(&mut out, name);
        Self(out.into_boxed_slice())
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// What every record says of a rule, to be made once for each.
pub fn encode_rule(name: &str, at: &str) -> Box<[u8]> {
    let mut out = Vec::new();
    rule(&mut out, name, at);
    out.into_boxed_slice()
}

pub(super) fn rule(out: &mut Vec<u8>, name: &str, at: &str) {
    literal(out, b"\",\"rule\":");
    text(out, name);
    literal(out, b",\"at\":");
    text(out, at);
}
