//! `opentelemetry.proto.metrics.v1.Metric`, each behind its length; the numbers are those of its fields.

use super::wire::{Message, varint};
use super::{Heading, Kind, Labels, Printer, Span, Value};
use crate::record::distribution::{Distribution, SCHEMA};
use crate::record::exemplars::Exemplar;

const CUMULATIVE: u64 = 2;

/// Which field of a metric has its points, and what field those have their labels in.
const GAUGE: u32 = 5;
const SUM: u32 = 7;
const HISTOGRAM: u32 = 9;
const EXPONENTIAL: u32 = 10;

#[derive(Debug)]
pub(super) struct Otlp {
    out: Vec<u8>,
    metric: Message,
    points: Message,
    kind: Kind,
    exponential: bool,
    began: u64,
    now: u64,
}

impl Otlp {
    pub(super) fn new(bytes: usize, span: Span, exponential: bool) -> Self {
        Self {
            out: Vec::with_capacity(bytes),
            metric: Message::default(),
            points: Message::default(),
            kind: Kind::Gauge,
            exponential,
            began: nanoseconds(span.began_ms),
            now: nanoseconds(span.now_ms),
        }
    }

    /// A metric without points says nothing, and is left out.
    fn flush(&mut self) {
        if !self.points.0.is_empty() {
            let field = match self.kind {
                Kind::Counter => SUM,
                Kind::Gauge => GAUGE,
                Kind::Histogram if self.exponential => EXPONENTIAL,
                Kind::Histogram => HISTOGRAM,
            };
            let (points, kind) = (&mut self.points.0, self.kind);
            self.metric.nested(field, |data| {
                data.0.append(points);
                if kind != Kind::Gauge {
                    data.whole(2, CUMULATIVE);
                }
                if kind == Kind::Counter {
                    data.whole(3, 1);
                }
            });
            varint(&mut self.out, self.metric.0.len() as u64);
            self.out.append(&mut self.metric.0);
        }
        self.metric.0.clear();
    }

    fn times(&self) -> (u64, u64) {
        (self.began, self.now)
    }
}

impl Printer for Otlp {
    fn heading(&mut self, heading: &Heading<'_>) {
        self.flush();
        self.kind = heading.kind;
        self.metric.text(1, heading.name);
        self.metric.text(2, heading.help);
        if let Some((_, unit)) = heading.unit() {
            self.metric.text(3, unit);
        }
    }

    fn number(&mut self, _: &str, labels: &Labels, value: Value) {
        let ((began, now), kind) = (self.times(), self.kind);
        self.points.nested(1, |point| {
            if kind == Kind::Counter {
                point.fixed(2, began);
            }
            point.fixed(3, now);
            match value {
                Value::Whole(value) => point.fixed(6, value),
                Value::Thousandths(_) | Value::Real(_) => point.real(4, value.real()),
            }
            put_labels(point, 7, labels);
        });
    }

    fn distribution(&mut self, _: &str, labels: &Labels, of: &Distribution) {
        let ((began, now), exponential) = (self.times(), self.exponential);
        self.points.nested(1, |point| {
            put_labels(point, if exponential { 1 } else { 9 }, labels);
            point.fixed(2, began);
            point.fixed(3, now);
            point.fixed(4, of.count());
            point.real(5, of.seconds());
            if exponential { put_exponential(point, of) } else { put_explicit(point, of) }
        });
    }

    fn finish(mut self: Box<Self>) -> Vec<u8> {
        self.flush();
        self.out
    }
}

fn nanoseconds(milliseconds: u64) -> u64 {
    milliseconds.saturating_mul(1_000_000)
}

fn put_labels(point: &mut Message, field: u32, labels: &Labels) {
    for (name, value) in labels.pairs() {
        point.nested(field, |pair| {
            pair.text(1, name);
            pair.nested(2, |any| any.text(1, value));
        });
    }
}

fn put_explicit(point: &mut Message, of: &Distribution) {
    point.nested(6, |counts| of.counts().for_each(|count| counts.packed_fixed(count)));
    point.nested(7, |bounds| {
        of.finite().for_each(|bound| bounds.packed_fixed(bound.seconds().to_bits()));
    });
    put_exemplars(point, 8, of);
}

/// Here a bucket has the number of its lower end.
fn put_exponential(point: &mut Message, of: &Distribution) {
    point.signed(6, i64::from(SCHEMA));
    if let (Some((first, _)), Some((last, _))) = (of.native.first(), of.native.last()) {
        point.nested(8, |buckets| {
            buckets.signed(1, i64::from(first - 1));
            buckets.nested(2, |counts| {
                let mut known = of.native.iter().peekable();
                for index in *first..=*last {
                    let found = known.next_if(|(at, _)| *at == index);
                    counts.packed(found.map_or(0, |(_, count)| *count));
                }
            });
        });
    }
    put_exemplars(point, 11, of);
}

fn put_exemplars(point: &mut Message, field: u32, of: &Distribution) {
    for exemplar in of.exemplars.iter().filter(|exemplar| exemplar.is_there()) {
        point.nested(field, |message| put_exemplar(message, exemplar));
    }
}

fn put_exemplar(message: &mut Message, exemplar: &Exemplar) {
    message.fixed(2, nanoseconds(exemplar.unix_ms));
    message.real(3, exemplar.seconds());
    message.bytes(5, &exemplar.trace_id.to_be_bytes());
}
