//! What each format makes of the same page.

use super::*;
use crate::record::exemplars::Kept;
use crate::record::histogram::{Histogram, Whole};

const SPAN: Span = Span { began_ms: 1_700_000_000_250, now_ms: 1_700_000_060_000 };

fn page(format: Format) -> Vec<u8> {
    let mut page = Page::new(format, SPAN, 0);
    page.heading("gateway_requests_total", Kind::Counter, "Requests.");
    page.series("gateway_requests_total", &Labels::new("route", "a\"b"), 7);
    page.heading("gateway_nothing", Kind::Gauge, "No series.");
    page.single_seconds("gateway_uptime_seconds", "Time.", 61_500);
    page.heading("gateway_total_duration_seconds", Kind::Histogram, "Whole.");
    let histogram = Histogram::<Whole>::default();
    [900, 900, 42_000, 70_000_000].iter().for_each(|value| _ = histogram.observe(*value));
    let mut totals = HistogramTotals::default();
    totals.add(&histogram);
    let exemplars: &mut Kept = &mut totals.exemplars;
    exemplars[5] = crate::record::exemplars::Exemplar {
        trace_id: 0xabc,
        microseconds: 42_000,
        unix_ms: 1_700_000_001_002,
    };
    page.histogram::<Whole>("gateway_total_duration_seconds", &Labels::new("route", "users"), &totals);
    page.finish()
}

fn text(format: Format) -> String {
    String::from_utf8(page(format)).expect("it is text")
}

#[test]
fn openmetrics_has_units_exemplars_and_an_end() {
    let text = text(Format::OpenMetrics { created: false });
    for expected in [
        "# TYPE gateway_requests counter\n# HELP gateway_requests Requests.\ngateway_requests_total{route=\"a\\\"b\"} 7\n",
        "# UNIT gateway_uptime_seconds seconds\n",
        "gateway_total_duration_seconds_bucket{route=\"users\",le=\"0.05\"} 3 # {trace_id=\"00000000000000000000000000000abc\"} 0.042000 1700000001.002\n",
        "_bucket{route=\"users\",le=\"1.0\"} 3\n",
        "_bucket{route=\"users\",le=\"+Inf\"} 4\n",
        "gateway_total_duration_seconds_count{route=\"users\"} 4\n# EOF\n",
    ] {
        assert!(text.contains(expected), "{expected} is not in\n{text}");
    }
    assert!(!text.contains("_created"));
}

#[test]
fn each_count_of_openmetrics_may_say_when_it_began() {
    let text = text(Format::OpenMetrics { created: true });
    for expected in [
        "gateway_requests_created{route=\"a\\\"b\"} 1700000000.250\n",
        "gateway_total_duration_seconds_created{route=\"users\"} 1700000000.250\n",
    ] {
        assert!(text.contains(expected), "{expected} is not in\n{text}");
    }
    assert!(!text.contains("gateway_uptime_seconds_created"));
}

#[test]
fn plain_text_has_neither_exemplars_nor_an_end() {
    let text = text(Format::Text);
    assert!(
        !text.contains("trace_id") && !text.contains("EOF") && text.contains("# TYPE gateway_nothing gauge")
    );
    assert!(text.contains("gateway_total_duration_seconds_bucket{route=\"users\",le=\"1\"} 3\n"));
}

#[test]
fn what_has_no_series_is_left_out_of_protocol_buffers() {
    for format in [Format::Protobuf, Format::Otlp { exponential: true }, Format::Otlp { exponential: false }]
    {
        let page = page(format);
        let contains = |text: &str| page.windows(text.len()).any(|window| window == text.as_bytes());
        assert!(contains("gateway_uptime_seconds") && !contains("gateway_nothing"), "{format:?}");
    }
}
