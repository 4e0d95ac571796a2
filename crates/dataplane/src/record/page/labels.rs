//! The label pairs of a series.

/// Ends a name, and ends a value. No value contains them, since control characters become spaces.
const MIDDLE: char = '\u{1e}';
const END: char = '\u{1f}';

/// Names and values in one text, in the order in which they were added.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::record) struct Labels(String);

impl Labels {
    pub(in crate::record) fn new(name: &str, value: &str) -> Self {
        Self::default().and(name, value)
    }

    /// Adds a pair. Control characters other than the end of a line become spaces.
    pub(in crate::record) fn and(mut self, name: &str, value: &str) -> Self {
        self.0.reserve(name.len() + value.len() + 2);
        self.0.push_str(name);
        self.0.push(MIDDLE);
        if value.bytes().all(|byte| (0x20..0x7f).contains(&byte)) {
            self.0.push_str(value);
        } else {
            let kept = |character: char| character == '\n' || !character.is_control();
            self.0.extend(value.chars().map(|character| if kept(character) { character } else { ' ' }));
        }
        self.0.push(END);
        self
    }

    pub(super) fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.split_terminator(END).filter_map(|pair| pair.split_once(MIDDLE))
    }

    /// `route="users",status="200"`, with what both text formats demand escaped.
    pub(super) fn text(&self) -> String {
        let mut out = String::with_capacity(self.0.len() + 8);
        for (name, value) in self.pairs() {
            if !out.is_empty() {
                out.push(',');
            }
            out.push_str(name);
            out.push_str("=\"");
            escape(&mut out, value);
            out.push('"');
        }
        out
    }
}

fn escape(out: &mut String, value: &str) {
    if !value.bytes().any(|byte| matches!(byte, b'\\' | b'"' | b'\n')) {
        return out.push_str(value);
    }
    for character in value.chars() {
        match character {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            _ => out.push(character),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn label_values_are_escaped() {
        let labels = Labels::new("a", "x\"y\\z\n\t").and("b", "é").and("c", "");
        assert_eq!(labels.text(), "a=\"x\\\"y\\\\z\\n \",b=\"é\",c=\"\"");
    }

    #[test]
    fn what_separates_pairs_cannot_come_from_outside() {
        let labels = Labels::new("a", "1\u{1f}b\u{1e}2");
        assert_eq!(labels.pairs().collect::<Vec<_>>(), [("a", "1 b 2")]);
    }
}
