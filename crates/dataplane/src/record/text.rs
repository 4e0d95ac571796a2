//! The Prometheus text format 0.0.4.

use super::histogram::{Bounds, HistogramTotals};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

impl Kind {
    fn text(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// The label pairs of a series, ready to be printed: `route="users",status="200"`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Labels(String);

impl Labels {
    pub(super) fn new(name: &str, value: &str) -> Self {
        Self::default().and(name, value)
    }

    /// Adds a pair. Escapes what the format demands; other control characters become spaces.
    pub(super) fn and(mut self, name: &str, value: &str) -> Self {
        if !self.0.is_empty() {
            self.0.push(',');
        }
        self.0.push_str(name);
        self.0.push_str("=\"");
        for character in value.chars() {
            match character {
                '\\' => self.0.push_str("\\\\"),
                '"' => self.0.push_str("\\\""),
                '\n' => self.0.push_str("\\n"),
                _ if character.is_control() => self.0.push(' '),
                _ => self.0.push(character),
            }
        }
        self.0.push('"');
        self
    }
}

/// A text under construction. The series of a family follow its heading directly, as the format demands.
#[derive(Debug)]
pub(super) struct Text {
    out: String,
}

impl Text {
    pub(super) fn with_capacity(bytes: usize) -> Self {
        Self { out: String::with_capacity(bytes) }
    }

    pub(super) fn finish(self) -> String {
        self.out
    }

    pub(super) fn heading(&mut self, name: &str, kind: Kind, help: &str) {
        for part in ["# HELP ", name, " ", help, "\n# TYPE ", name, " ", kind.text(), "\n"] {
            self.out.push_str(part);
        }
    }

    pub(super) fn series(&mut self, name: &str, labels: &Labels, value: u64) {
        self.start(name, labels);
        self.number(value);
        self.out.push('\n');
    }

    /// A series without labels, with its heading.
    pub(super) fn single(&mut self, name: &str, kind: Kind, help: &str, value: u64) {
        self.heading(name, kind, help);
        self.series(name, &Labels::default(), value);
    }

    /// A time in milliseconds, printed in seconds, with its heading.
    pub(super) fn single_seconds(&mut self, name: &str, help: &str, milliseconds: u64) {
        self.heading(name, Kind::Gauge, help);
        self.start(name, &Labels::default());
        self.decimal(milliseconds, 1_000);
        self.out.push('\n');
    }

    /// The same as one of several series.
    pub(super) fn seconds(&mut self, name: &str, labels: &Labels, milliseconds: u64) {
        self.start(name, labels);
        self.decimal(milliseconds, 1_000);
        self.out.push('\n');
    }

    pub(super) fn histogram<B: Bounds>(&mut self, name: &str, labels: &Labels, totals: &HistogramTotals) {
        for (bound, count) in totals.cumulative::<B>() {
            let comma = if labels.0.is_empty() { "" } else { "," };
            for part in [name, "_bucket{", &labels.0, comma, "le=\"", bound, "\"} "] {
                self.out.push_str(part);
            }
            self.number(count);
            self.out.push('\n');
        }
        self.suffixed(name, "_sum", labels);
        self.decimal(totals.microseconds, 1_000_000);
        self.out.push('\n');
        self.suffixed(name, "_count", labels);
        self.number(totals.count());
        self.out.push('\n');
    }

    fn suffixed(&mut self, name: &str, suffix: &str, labels: &Labels) {
        self.out.push_str(name);
        self.start(suffix, labels);
    }

    fn start(&mut self, name: &str, labels: &Labels) {
        self.out.push_str(name);
        if !labels.0.is_empty() {
            self.out.push('{');
            self.out.push_str(&labels.0);
            self.out.push('}');
        }
        self.out.push(' ');
    }

    fn number(&mut self, value: u64) {
        self.out.push_str(itoa::Buffer::new().format(value));
    }

    /// `value / unit` without floating point: a sum of years keeps its microseconds. `unit` is a power of ten.
    fn decimal(&mut self, value: u64, unit: u64) {
        self.number(value / unit);
        self.out.push('.');
        let mut place = unit / 10;
        while place > 0 {
            self.number(value / place % 10);
            place /= 10;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn label_values_are_escaped() {
        assert_eq!(Labels::new("a", "x\"y\\z\n\t").and("b", "é").0, "a=\"x\\\"y\\\\z\\n \",b=\"é\"");
    }

    #[test]
    fn decimals_keep_their_zeros() {
        let mut text = Text::with_capacity(0);
        text.decimal(12_000_045, 1_000_000);
        assert_eq!(text.finish(), "12.000045");
    }
}
