//! The Prometheus text format 0.0.4.

use super::{Heading, Labels, Printer, Value};
use crate::record::distribution::Distribution;

#[derive(Debug)]
pub(super) struct Text {
    out: String,
}

impl Text {
    pub(super) fn new(bytes: usize) -> Self {
        Self { out: String::with_capacity(bytes) }
    }
}

impl Printer for Text {
    fn heading(&mut self, heading: &Heading<'_>) {
        let (name, kind) = (heading.name, heading.kind.text());
        push(&mut self.out, &["# HELP ", name, " ", heading.help, "\n# TYPE ", name, " ", kind, "\n"]);
    }

    fn number(&mut self, name: &str, labels: &Labels, value: Value) {
        start(&mut self.out, name, "", &labels.text());
        self.out.push(' ');
        put(&mut self.out, value);
        self.out.push('\n');
    }

    fn distribution(&mut self, name: &str, labels: &Labels, of: &Distribution) {
        let labels = labels.text();
        let comma = if labels.is_empty() { "" } else { "," };
        for (bound, count) in of.cumulative() {
            push(&mut self.out, &[name, "_bucket{", &labels, comma, "le=\"", bound.text, "\"} "]);
            whole(&mut self.out, count);
            self.out.push('\n');
        }
        sum_and_count(&mut self.out, name, &labels, of);
    }

    fn finish(self: Box<Self>) -> Vec<u8> {
        self.out.into_bytes()
    }
}

/// The two last lines of a histogram.
pub(super) fn sum_and_count(out: &mut String, name: &str, labels: &str, of: &Distribution) {
    start(out, name, "_sum", labels);
    out.push(' ');
    decimal(out, of.microseconds, 1_000_000);
    out.push('\n');
    start(out, name, "_count", labels);
    out.push(' ');
    whole(out, of.count());
    out.push('\n');
}

pub(super) fn start(out: &mut String, name: &str, suffix: &str, labels: &str) {
    push(out, &[name, suffix]);
    if !labels.is_empty() {
        push(out, &["{", labels, "}"]);
    }
}

pub(super) fn push(out: &mut String, parts: &[&str]) {
    parts.iter().for_each(|part| out.push_str(part));
}

pub(super) fn put(out: &mut String, value: Value) {
    match value {
        Value::Whole(value) => whole(out, value),
        Value::Thousandths(value) => decimal(out, value, 1_000),
        Value::Real(value) => real(out, value),
    }
}

pub(super) fn whole(out: &mut String, value: u64) {
    out.push_str(itoa::Buffer::new().format(value));
}

/// The shortest text that means this very number.
fn real(out: &mut String, value: f64) {
    if value.is_nan() {
        out.push_str("NaN");
    } else if value.is_infinite() {
        out.push_str(if value > 0.0 { "+Inf" } else { "-Inf" });
    } else {
        out.push_str(&value.to_string());
    }
}

/// `value / unit` without floating point: a sum of years keeps its microseconds. `unit` is a power of ten.
pub(super) fn decimal(out: &mut String, value: u64, unit: u64) {
    whole(out, value / unit);
    out.push('.');
    let mut place = unit / 10;
    while place > 0 {
        whole(out, value / place % 10);
        place /= 10;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_keep_their_zeros() {
        let mut text = String::new();
        decimal(&mut text, 12_000_045, 1_000_000);
        assert_eq!(text, "12.000045");
    }

    #[test]
    fn numbers_that_are_none_have_the_names_of_the_format() {
        let mut text = String::new();
        for value in [f64::INFINITY, f64::NEG_INFINITY, f64::NAN, 0.25, 3.0] {
            real(&mut text, value);
            text.push(' ');
        }
        assert_eq!(text, "+Inf -Inf NaN 0.25 3 ");
    }
}
