//! Tables of what callers say, and of what services are told then.

use std::net::Ipv4Addr;

use super::*;
use crate::http1::request_names;
use crate::request::Header;

const ID: &str = "0af7651916cd43dd8448eb211c80319c";
const SPAN: &str = "b7ad6b7169203331";

fn request(headers: &[(&str, &str)]) -> Request {
    let mut request = Request::new(Ipv4Addr::LOCALHOST.into());
    for (name, value) in headers {
        let known = request_names::known(name.as_bytes());
        let (name, value) = (request.append(name.as_bytes()), request.append(value.as_bytes()));
        request.headers.push(Header { name, value, known });
    }
    request
}

fn tracing(formats: &[TraceFormatDocument], sample: f64, parent_based: bool) -> Tracing {
    Tracing::compile(&TracingDocument { propagate: formats.to_vec(), sample, parent_based })
}

fn told(headers: &[(&str, &str)], tracing: Option<&Tracing>) -> Trace {
    Trace::of(&request(headers), tracing, None, &mut || 0x1234)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Everything that is told, in the order in which it is.
#[derive(Default)]
struct Sink(String);

impl HeadSink for Sink {
    fn target(&mut self, _: &Request, _: &[u8], _: Option<&[u8]>, _: &[u8]) {}
    fn begin(&mut self, prefix: &'static [u8]) {
        self.0.push_str(&text(prefix));
    }
    fn piece(&mut self, bytes: &[u8]) {
        self.0.push_str(&text(bytes));
    }
    fn end(&mut self) {
        self.0.push('\n');
    }
    fn pass(&mut self, _: &Request, _: &Header) {}
    fn lines(&mut self, _: &[u8]) {}
    fn framing(&mut self, _: crate::request::Framing) {}
    fn upgrades(&mut self, _: &crate::websocket::handshake::Handshake) {}
    fn accepts_trailers(&mut self) {}
    fn finish(&mut self) {}
}

fn written(trace: &Trace) -> String {
    let mut sink = Sink::default();
    trace.write(&mut sink);
    sink.0
}

#[test]
fn hexadecimal_digits_are_those_of_the_formatter() {
    for value in [0, 1, 0x0123_4567_89ab_cdef, 0xfedc_ba98_7654_3210, u64::MAX, 0x9a9a_a9a9_0f0f_f0f0] {
        assert_eq!(hexadecimal(value), *format!("{value:016x}").as_bytes());
    }
}

#[test]
fn a_valid_parent_keeps_its_trace_and_its_decision_and_gets_our_span() {
    for (flags, kept) in
        [("00", "00"), ("01", "01"), ("02", "02"), ("03", "03"), ("ff", "03"), ("f0", "00"), ("09", "01")]
    {
        let trace = told(&[("traceparent", &format!("00-{ID}-{SPAN}-{flags}"))], None);
        assert_eq!(written(&trace), format!("traceparent: 00-{ID}-0000000000001235-{kept}\n"));
        assert_eq!(trace.parent(), Some(*b"b7ad6b7169203331"));
        assert_eq!(trace.is_sampled(), kept == "01" || kept == "03");
    }
}

#[test]
fn a_malformed_parent_starts_a_new_trace() {
    let upper = ID.to_uppercase();
    let zeros = "0".repeat(32);
    for parent in [
        String::new(),
        "00".to_owned(),
        format!("00-{ID}-{SPAN}"),
        format!("00-{ID}-{SPAN}-"),
        format!("00-{ID}-{SPAN}-1"),
        format!("00-{ID}-{SPAN}-001"),
        format!("00-{ID}-{SPAN}-0g"),
        format!("00-{ID}-{SPAN}-0A"),
        format!("00-{ID}-{SPAN}-01-x"),
        format!("00-{ID}-{SPAN}-01-"),
        format!("00-{upper}-{SPAN}-01"),
        format!("00-{ID}-{}-01", SPAN.to_uppercase()),
        format!("00-{zeros}-{SPAN}-01"),
        format!("00-{ID}-0000000000000000-01"),
        format!("ff-{ID}-{SPAN}-01"),
        format!("FF-{ID}-{SPAN}-01"),
        format!("0-{ID}-{SPAN}-001"),
        format!("zz-{ID}-{SPAN}-01"),
        format!(".0-{ID}-{SPAN}-01"),
        format!("01-{ID}-{SPAN}-01."),
        format!("01-{ID}-{SPAN}-01x"),
        format!("00-{}-{SPAN}-01", &ID[1..]),
        format!("00-{ID}1-{SPAN}-01"),
        format!("00-{ID}-{}-01", &SPAN[1..]),
        format!("00_{ID}_{SPAN}_01"),
        format!("00-{ID}-{SPAN}-01,00-{ID}-{SPAN}-01"),
        format!("-00-{ID}-{SPAN}-01"),
    ] {
        let trace = told(&[("traceparent", &parent), ("tracestate", "a=b")], None);
        assert_eq!(trace.parent(), None, "{parent:?}");
        assert_eq!(text(&trace.id()), "00000000000012340000000000001235", "{parent:?}");
        assert!(!trace.keeps_state(), "{parent:?}");
    }
}

#[test]
fn several_parents_start_a_new_trace() {
    let parent = format!("00-{ID}-{SPAN}-01");
    let trace = told(&[("traceparent", &parent), ("traceparent", &parent)], None);
    assert_eq!(trace.parent(), None);
}

#[test]
fn a_parent_of_a_later_version_goes_on_as_version_00() {
    for (version, rest) in
        [("01", ""), ("01", "-"), ("01", "-future"), ("cc", "-what-the-future-01"), ("fe", "-")]
    {
        let trace = told(&[("traceparent", &format!("{version}-{ID}-{SPAN}-01{rest}"))], None);
        assert_eq!(written(&trace), format!("traceparent: 00-{ID}-0000000000001235-01\n"), "{version}{rest}");
    }
}

fn keeps_state(lines: &[&str]) -> bool {
    let parent = format!("00-{ID}-{SPAN}-01");
    let mut headers = vec![("traceparent", &*parent)];
    headers.extend(lines.iter().map(|line| ("tracestate", *line)));
    told(&headers, None).keeps_state()
}

fn members(count: usize) -> String {
    (0..count).map(|number| format!("k{number}=v")).collect::<Vec<_>>().join(",")
}

#[test]
fn a_state_goes_on_that_is_as_it_must_be() {
    for lines in [
        &["a=1"][..],
        &["a=1,b=2", "c=3"],
        &[" a=1 \t,\t b=2"],
        &["a=1,,b=2,"],
        &["0a=1"],
        &["a_-*/9=1"],
        &["tenant@system=1", "0t@s=1"],
        &["a= x y"],
        &["a=1;b:2"],
        &[&members(32)],
        &[&format!("{}=1", "k".repeat(256))],
        &[&format!("a={}", "v".repeat(256))],
        &[&format!("{}@{}=1", "t".repeat(241), "s".repeat(14))],
    ] {
        assert!(keeps_state(lines), "{lines:?}");
    }
}

#[test]
fn a_state_that_is_not_goes_on_with_no_line_of_it() {
    for lines in [
        &[&*members(33)][..],
        &[&members(31), "x=1,y=1"],
        &[&format!("{}=1", "k".repeat(257))],
        &[&format!("a={}", "v".repeat(257))],
        &[&format!("{}@s=1", "t".repeat(242))],
        &[&format!("t@{}=1", "s".repeat(15))],
        &["a=1,a=2"],
        &["a=1", "a=2"],
        &[""],
        &[","],
        &["a"],
        &["=1"],
        &["a="],
        &["a=1=2"],
        &["A=1"],
        &["a b=1"],
        &["_a=1"],
        &["@s=1"],
        &["t@=1"],
        &["t@1s=1"],
        &["t@s@r=1"],
        &["a=\u{e9}"],
        &["a=1", "B=2"],
    ] {
        assert!(!keeps_state(lines), "{lines:?}");
    }
    assert!(!told(&[("tracestate", "a=1")], None).keeps_state(), "of no trace");
}

#[test]
fn b3_goes_on_in_both_forms() {
    use TraceFormatDocument::{B3, B3Single};
    let both = tracing(&[B3, B3Single], 0.0, true);
    let ours = "0000000000001235";
    let single = |value: &str| written(&told(&[("b3", value)], Some(&both)));
    for (decision, flag) in [("1", "sampled: 1"), ("0", "sampled: 0"), ("d", "flags: 1")] {
        let expected = format!(
            "b3: {ID}-{ours}-{decision}-{SPAN}\nx-b3-traceid: {ID}\nx-b3-spanid: {ours}\nx-b3-parentspanid: {SPAN}\nx-b3-{flag}\n"
        );
        assert_eq!(single(&format!("{ID}-{SPAN}-{decision}")), expected);
        assert_eq!(single(&format!("{ID}-{SPAN}-{decision}-05e3ac9a4f6e3b90")), expected);
        let (name, value) = if decision == "d" { ("x-b3-flags", "1") } else { ("x-b3-sampled", decision) };
        let several = [("x-b3-traceid", ID), ("x-b3-spanid", SPAN), (name, value)];
        assert_eq!(written(&told(&several, Some(&both))), expected);
    }
    let short = single(&format!("{SPAN}-{SPAN}"));
    assert!(short.starts_with(&format!("b3: 0000000000000000{SPAN}-{ours}-0-{SPAN}\n")), "{short}");
    // A decision without a trace holds for the new one.
    for (headers, is_sampled) in [
        ([("b3", "1")], true),
        ([("b3", "0")], false),
        ([("x-b3-sampled", "true")], true),
        ([("x-b3-flags", "1")], true),
    ] {
        let trace = told(&headers, Some(&both));
        assert_eq!((trace.parent(), trace.is_sampled()), (None, is_sampled), "{headers:?}");
    }
}

#[test]
fn b3_that_is_not_to_be_understood_starts_a_new_trace() {
    use TraceFormatDocument::{B3, B3Single};
    let both = tracing(&[B3, B3Single], 1.0, true);
    let (zeros, upper) = ("0".repeat(32), ID.to_uppercase());
    for value in [
        "",
        "x",
        ID,
        &format!("{ID}-"),
        &format!("{ID}-{SPAN}-"),
        &format!("{ID}-{SPAN}-2"),
        &format!("{ID}-{SPAN}-1-"),
        &format!("{ID}-{SPAN}-1-{SPAN}-1"),
        &format!("{zeros}-{SPAN}-1"),
        &format!("{upper}-{SPAN}-1"),
        &format!("{ID}-0000000000000000-1"),
        &format!("{}-{SPAN}-1", &ID[2..]),
    ] {
        assert_eq!(told(&[("b3", value)], Some(&both)).parent(), None, "{value:?}");
    }
    let whole = format!("{ID}-{SPAN}-1");
    assert_eq!(told(&[("b3", &whole), ("b3", &whole)], Some(&both)).parent(), None);
    for headers in [
        &[("x-b3-traceid", ID)][..],
        &[("x-b3-spanid", SPAN)],
        &[("x-b3-traceid", ID), ("x-b3-spanid", "x")],
        &[("x-b3-traceid", ID), ("x-b3-spanid", SPAN), ("x-b3-sampled", "2")],
        &[("x-b3-traceid", ID), ("x-b3-spanid", SPAN), ("x-b3-flags", "7")],
        &[("x-b3-traceid", ID), ("x-b3-traceid", ID), ("x-b3-spanid", SPAN)],
    ] {
        assert_eq!(told(headers, Some(&both)).parent(), None, "{headers:?}");
    }
}

#[test]
fn the_format_that_is_wanted_is_the_one_that_is_read() {
    use TraceFormatDocument::{B3, B3Single, W3c};
    let parent = format!("00-{ID}-{SPAN}-01");
    let b3 = format!("{}-{SPAN}-1", "1".repeat(32));
    let headers = [("traceparent", &*parent), ("tracestate", "a=1"), ("b3", &*b3)];
    let by = |formats: &[TraceFormatDocument]| told(&headers, Some(&tracing(formats, 1.0, true)));
    assert_eq!(text(&by(&[W3c]).id()), ID);
    assert_eq!(text(&by(&[B3Single]).id()), "1".repeat(32));
    assert!(!by(&[B3Single]).keeps_state());
    assert!(!written(&by(&[B3Single])).contains("traceparent"));
    // The standard goes first, and nonsense in it is not made good by another.
    assert_eq!(text(&by(&[B3Single, W3c]).id()), ID);
    let nonsense = [("traceparent", "00-nonsense"), ("b3", &*b3)];
    assert_eq!(told(&nonsense, Some(&tracing(&[B3Single, W3c], 1.0, true))).parent(), None);
    assert!(!by(&[W3c]).replaces(b"b3") && by(&[B3]).replaces(b"b3") && by(&[B3]).replaces(b"x-b3-sampled"));
}

#[test]
fn of_new_traces_the_share_is_sampled_and_callers_decide_about_theirs() {
    use TraceFormatDocument::W3c;
    let sampled = |tracing: &Tracing, share: Option<Share>, random: u64| {
        let mut call = 0;
        // The second call gives the end of the id.
        let mut random = || {
            call += 1;
            if call == 2 { random } else { 0x1234 }
        };
        Trace::of(&request(&[]), Some(tracing), share, &mut random).is_sampled()
    };
    let hundredth = tracing(&[W3c], 0.01, true);
    let edge = TRACES / 100;
    for (random, is_sampled) in
        [(0, true), (edge / 2, true), (edge + 2, false), (TRACES - 1, false), (u64::MAX, false)]
    {
        assert_eq!(sampled(&hundredth, None, random), is_sampled, "{random:x}");
    }
    assert!(sampled(&hundredth, Some(Share::of(1.0)), TRACES - 1), "the route wants all");
    assert!(!sampled(&hundredth, Some(Share::of(0.0)), 0), "the route wants none");
    let by = |flags: &str, sample, parent_based| {
        let parent = format!("00-{ID}-{SPAN}-{flags}");
        told(&[("traceparent", &parent)], Some(&tracing(&[W3c], sample, parent_based))).is_sampled()
    };
    assert!(by("01", 0.0, true) && !by("00", 1.0, true));
    assert!(!by("01", 0.0, false) && by("00", 1.0, false));
}
