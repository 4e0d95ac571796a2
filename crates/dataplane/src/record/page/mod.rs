//! The metrics page: families with their series, whichever format it is printed in.

mod labels;
mod openmetrics;
mod otlp;
mod protobuf;
mod text;
mod wire;

#[cfg(test)]
mod tests;

use std::str::FromStr;

use super::distribution::Distribution;
use super::histogram::{Bounds, HistogramTotals};
pub(super) use labels::Labels;

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

/// How a page is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Prometheus text 0.0.4.
    Text,
    /// OpenMetrics 1.0: with exemplars and, where asked for, the time at which each count began.
    OpenMetrics { created: bool },
    /// `io.prometheus.client.MetricFamily`, each behind its length: with exemplars and native histograms.
    Protobuf,
    /// `opentelemetry.proto.metrics.v1.Metric`, each behind its length.
    Otlp { exponential: bool },
}

impl FromStr for Format {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "text" => Ok(Self::Text),
            "openmetrics" => Ok(Self::OpenMetrics { created: false }),
            "openmetrics_created" => Ok(Self::OpenMetrics { created: true }),
            "protobuf" => Ok(Self::Protobuf),
            "otlp" => Ok(Self::Otlp { exponential: false }),
            "otlp_exponential" => Ok(Self::Otlp { exponential: true }),
            other => Err(format!("unknown format of metrics `{other}`")),
        }
    }
}

/// When a page is printed, and since when is counted what it says. Milliseconds of Unix time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    pub began_ms: u64,
    pub now_ms: u64,
}

/// The value of a series.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Value {
    Whole(u64),
    /// In thousandths, so that a time of years keeps its milliseconds.
    Thousandths(u64),
    Real(f64),
}

impl Value {
    fn real(self) -> f64 {
        match self {
            Self::Whole(value) => value as f64,
            Self::Thousandths(value) => value as f64 / 1_000.0,
            Self::Real(value) => value,
        }
    }
}

/// A metric: what all its series have in common.
#[derive(Clone, Copy, Debug)]
struct Heading<'a> {
    name: &'a str,
    kind: Kind,
    help: &'a str,
}

impl Heading<'_> {
    /// The unit that the name ends in, as OpenMetrics and OpenTelemetry spell it.
    fn unit(&self) -> Option<(&'static str, &'static str)> {
        let base = self.name.strip_suffix("_total").unwrap_or(self.name);
        [("seconds", "s"), ("bytes", "By")]
            .into_iter()
            .find(|(suffix, _)| base.strip_suffix(suffix).is_some_and(|rest| rest.ends_with('_')))
    }
}

/// One format. The series of a family follow its heading directly.
trait Printer: std::fmt::Debug {
    fn heading(&mut self, heading: &Heading<'_>);
    fn number(&mut self, name: &str, labels: &Labels, value: Value);
    fn distribution(&mut self, name: &str, labels: &Labels, of: &Distribution);
    fn finish(self: Box<Self>) -> Vec<u8>;
}

/// A page under construction.
#[derive(Debug)]
pub(super) struct Page {
    printer: Box<dyn Printer>,
}

impl Page {
    pub(super) fn new(format: Format, span: Span, bytes: usize) -> Self {
        let printer: Box<dyn Printer> = match format {
            Format::Text => Box::new(text::Text::new(bytes)),
            Format::OpenMetrics { created } => {
                Box::new(openmetrics::OpenMetrics::new(bytes, created.then_some(span.began_ms)))
            }
            Format::Protobuf => Box::new(protobuf::Protobuf::new(bytes, span)),
            Format::Otlp { exponential } => Box::new(otlp::Otlp::new(bytes, span, exponential)),
        };
        Self { printer }
    }

    pub(super) fn finish(self) -> Vec<u8> {
        self.printer.finish()
    }

    pub(super) fn heading(&mut self, name: &str, kind: Kind, help: &str) {
        self.printer.heading(&Heading { name, kind, help });
    }

    pub(super) fn series(&mut self, name: &str, labels: &Labels, value: u64) {
        self.printer.number(name, labels, Value::Whole(value));
    }

    /// A series without labels, with its heading.
    pub(super) fn single(&mut self, name: &str, kind: Kind, help: &str, value: u64) {
        self.heading(name, kind, help);
        self.series(name, &Labels::default(), value);
    }

    /// A time in milliseconds, printed in seconds, with its heading.
    pub(super) fn single_seconds(&mut self, name: &str, help: &str, milliseconds: u64) {
        self.heading(name, Kind::Gauge, help);
        self.seconds(name, &Labels::default(), milliseconds);
    }

    /// The same as one of several series.
    pub(super) fn seconds(&mut self, name: &str, labels: &Labels, milliseconds: u64) {
        self.printer.number(name, labels, Value::Thousandths(milliseconds));
    }

    pub(super) fn real(&mut self, name: &str, labels: &Labels, value: f64) {
        self.printer.number(name, labels, Value::Real(value));
    }

    pub(super) fn histogram<B: Bounds>(&mut self, name: &str, labels: &Labels, totals: &HistogramTotals) {
        self.printer.distribution(name, labels, &Distribution::of::<B>(totals));
    }
}
