//! `io.prometheus.client.MetricFamily`, each behind its length; the numbers are those of its fields.

use super::wire::{Message, varint, zigzag};
use super::{Heading, Kind, Labels, Printer, Span, Value};
use crate::record::distribution::{Bound, Distribution, SCHEMA};
use crate::record::exemplars::Exemplar;

/// `zero_threshold`: smaller than anything that is counted. It also tells a native histogram without observations.
const ZERO_THRESHOLD: f64 = f64::from_bits((1023 - 128) << 52);

#[derive(Debug)]
pub(super) struct Protobuf {
    out: Vec<u8>,
    family: Message,
    kind: Kind,
    has_series: bool,
    span: Span,
}

impl Protobuf {
    pub(super) fn new(bytes: usize, span: Span) -> Self {
        Self {
            out: Vec::with_capacity(bytes),
            family: Message::default(),
            kind: Kind::Gauge,
            has_series: false,
            span,
        }
    }

    /// A family without series says nothing, and is left out.
    fn flush(&mut self) {
        if self.has_series {
            varint(&mut self.out, self.family.0.len() as u64);
            self.out.append(&mut self.family.0);
        }
        self.family.0.clear();
        self.has_series = false;
    }
}

impl Printer for Protobuf {
    fn heading(&mut self, heading: &Heading<'_>) {
        self.flush();
        self.kind = heading.kind;
        self.family.text(1, heading.name);
        self.family.text(2, heading.help);
        let kind = match heading.kind {
            Kind::Counter => 0,
            Kind::Gauge => 1,
            Kind::Histogram => 4,
        };
        self.family.whole(3, kind);
    }

    fn number(&mut self, _: &str, labels: &Labels, value: Value) {
        self.has_series = true;
        let (kind, span) = (self.kind, self.span);
        self.family.nested(4, |metric| {
            put_labels(metric, labels);
            match kind {
                Kind::Counter => metric.nested(3, |counter| {
                    counter.real(1, value.real());
                    counter.nested(3, |created| timestamp(created, span.began_ms));
                }),
                Kind::Gauge | Kind::Histogram => metric.nested(2, |gauge| gauge.real(1, value.real())),
            }
        });
    }

    fn distribution(&mut self, _: &str, labels: &Labels, of: &Distribution) {
        self.has_series = true;
        let began_ms = self.span.began_ms;
        self.family.nested(4, |metric| {
            put_labels(metric, labels);
            metric.nested(7, |histogram| {
                histogram.whole(1, of.count());
                histogram.real(2, of.seconds());
                for ((bound, count), exemplar) in of.cumulative().zip(&of.exemplars) {
                    histogram.nested(3, |bucket| put_bucket(bucket, bound, count, exemplar));
                }
                put_native(histogram, of);
                histogram.nested(15, |created| timestamp(created, began_ms));
            });
        });
    }

    fn finish(mut self: Box<Self>) -> Vec<u8> {
        self.flush();
        self.out
    }
}

fn put_labels(metric: &mut Message, labels: &Labels) {
    for (name, value) in labels.pairs() {
        metric.nested(1, |pair| {
            pair.text(1, name);
            pair.text(2, value);
        });
    }
}

fn put_bucket(bucket: &mut Message, bound: &Bound, count: u64, exemplar: &Exemplar) {
    bucket.whole(1, count);
    bucket.real(2, bound.seconds());
    if exemplar.is_there() {
        bucket.nested(3, |message| {
            message.nested(1, |pair| {
                pair.text(1, "trace_id");
                pair.text(2, &exemplar.trace());
            });
            message.real(2, exemplar.seconds());
            message.nested(3, |time| timestamp(time, exemplar.unix_ms));
        });
    }
}

/// Spans of buckets that have something; each count is told as the difference to the one before.
fn put_native(histogram: &mut Message, of: &Distribution) {
    histogram.signed(5, i64::from(SCHEMA));
    histogram.real(6, ZERO_THRESHOLD);
    histogram.whole(7, 0);
    let mut after = 0;
    for run in of.native.chunk_by(|left, right| left.0 + 1 == right.0) {
        let Some((first, _)) = run.first() else { continue };
        histogram.nested(12, |span| {
            span.signed(1, i64::from(first - after));
            span.whole(2, run.len() as u64);
        });
        after = first + run.len() as i32;
    }
    histogram.nested(13, |deltas| {
        let mut before = 0;
        for (_, count) in &of.native {
            let count = i64::try_from(*count).unwrap_or(i64::MAX);
            deltas.packed(zigzag(count - before));
            before = count;
        }
    });
}

fn timestamp(message: &mut Message, unix_ms: u64) {
    message.whole(1, unix_ms / 1_000);
    message.whole(2, unix_ms % 1_000 * 1_000_000);
}
