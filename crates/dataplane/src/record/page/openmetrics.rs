//! OpenMetrics 1.0.

use super::text::{decimal, push, put, start, sum_and_count, whole};
use super::{Heading, Kind, Labels, Printer, Value};
use crate::record::distribution::Distribution;
use crate::record::exemplars::Exemplar;

#[derive(Debug)]
pub(super) struct OpenMetrics {
    out: String,
    /// Milliseconds of Unix time, where each count is to say when it began.
    created: Option<u64>,
    kind: Kind,
}

impl OpenMetrics {
    pub(super) fn new(bytes: usize, created: Option<u64>) -> Self {
        Self { out: String::with_capacity(bytes), created, kind: Kind::Gauge }
    }

    fn created(&mut self, base: &str, labels: &str) {
        if let Some(began) = self.created {
            start(&mut self.out, base, "_created", labels);
            self.out.push(' ');
            decimal(&mut self.out, began, 1_000);
            self.out.push('\n');
        }
    }

    fn exemplar(&mut self, exemplar: &Exemplar) {
        push(&mut self.out, &[" # {trace_id=\"", &exemplar.trace(), "\"} "]);
        decimal(&mut self.out, exemplar.microseconds, 1_000_000);
        self.out.push(' ');
        decimal(&mut self.out, exemplar.unix_ms, 1_000);
    }
}

/// The name of the family: that of a counter lacks what its series end in.
fn base(name: &str, kind: Kind) -> &str {
    if kind == Kind::Counter { name.strip_suffix("_total").unwrap_or(name) } else { name }
}

impl Printer for OpenMetrics {
    fn heading(&mut self, heading: &Heading<'_>) {
        let (name, kind) = (base(heading.name, heading.kind), heading.kind.text());
        self.kind = heading.kind;
        push(&mut self.out, &["# TYPE ", name, " ", kind, "\n"]);
        if let Some((unit, _)) = heading.unit() {
            push(&mut self.out, &["# UNIT ", name, " ", unit, "\n"]);
        }
        push(&mut self.out, &["# HELP ", name, " ", heading.help, "\n"]);
    }

    fn number(&mut self, name: &str, labels: &Labels, value: Value) {
        let labels = labels.text();
        start(&mut self.out, name, "", &labels);
        self.out.push(' ');
        put(&mut self.out, value);
        self.out.push('\n');
        if self.kind == Kind::Counter {
            self.created(base(name, Kind::Counter), &labels);
        }
    }

    fn distribution(&mut self, name: &str, labels: &Labels, of: &Distribution) {
        let labels = labels.text();
        let comma = if labels.is_empty() { "" } else { "," };
        for ((bound, count), exemplar) in of.cumulative().zip(&of.exemplars) {
            push(&mut self.out, &[name, "_bucket{", &labels, comma, "le=\"", &bound.canonical(), "\"} "]);
            whole(&mut self.out, count);
            if exemplar.is_there() {
                self.exemplar(exemplar);
            }
            self.out.push('\n');
        }
        sum_and_count(&mut self.out, name, &labels, of);
        self.created(name, &labels);
    }

    fn finish(mut self: Box<Self>) -> Vec<u8> {
        self.out.push_str("# EOF\n");
        self.out.into_bytes()
    }
}
