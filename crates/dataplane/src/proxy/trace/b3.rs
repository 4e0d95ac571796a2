//! B3, as Zipkin and its heirs speak it: one header `b3`, or several that begin with `x-b3-`.

use super::{Heard, SpanId, Told, Trace, TraceId, id};
use crate::proxy::head::HeadSink;
use crate::request::{Known, Request};

const SINGLE: &[u8] = b"b3";
const TRACE_ID: &[u8] = b"x-b3-traceid";
const SPAN_ID: &[u8] = b"x-b3-spanid";
const SAMPLED: &[u8] = b"x-b3-sampled";
const FLAGS: &[u8] = b"x-b3-flags";

pub(super) fn is_name(name: &[u8]) -> bool {
    name == SINGLE || name.starts_with(b"x-b3-")
}

/// `{trace}-{span}`, `-{decision}` and `-{parent}` where they are known; or a decision alone.
pub(super) fn read_single(request: &Request) -> Heard {
    let value = match only(request, SINGLE) {
        Ok(Some(value)) => value,
        Ok(None) => return Heard::Nothing,
        Err(Repeated) => return Heard::Nonsense,
    };
    let told = match decision(value) {
        Some(told) => Some(told),
        None => parse(value),
    };
    told.map_or(Heard::Nonsense, Heard::Told)
}

fn parse(value: &[u8]) -> Option<Told> {
    let mut parts = value.split(|byte| *byte == b'-');
    let ids = Some((trace_id(parts.next()?)?, id(parts.next()?)?));
    let decided = match parts.next() {
        None => Told::default(),
        Some(part) => decision(part)?,
    };
    if let Some(parent) = parts.next() {
        id::<16>(parent)?;
    }
    parts.next().is_none().then_some(Told { ids, ..decided })
}

fn decision(text: &[u8]) -> Option<Told> {
    let sampled = |is_sampled| Told { is_sampled: Some(is_sampled), ..Told::default() };
    match text {
        b"0" | b"false" => Some(sampled(false)),
        b"1" | b"true" => Some(sampled(true)),
        b"d" => Some(Told { is_debug: true, ..sampled(true) }),
        _ => None,
    }
}

/// Old ids have half as many digits.
fn trace_id(text: &[u8]) -> Option<TraceId> {
    if text.len() == 32 {
        return id(text);
    }
    let short: SpanId = id(text)?;
    let mut whole = [b'0'; 32];
    whole.get_mut(16..)?.copy_from_slice(&short);
    Some(whole)
}

/// The caller's `X-B3-TraceId` and `X-B3-SpanId`, or neither; `X-B3-Sampled`, or `X-B3-Flags: 1`.
pub(super) fn read(request: &Request) -> Heard {
    read_several(request).unwrap_or(Heard::Nonsense)
}

/// `None` where it is nonsense.
fn read_several(request: &Request) -> Option<Heard> {
    let value = |name| only(request, name).ok();
    let (trace, span) = (value(TRACE_ID)?, value(SPAN_ID)?);
    let (sampled, flags) = (value(SAMPLED)?, value(FLAGS)?);
    let mut told = match sampled {
        None => Told::default(),
        Some(text) => decision(text)?,
    };
    match flags {
        None | Some(b"0") => {}
        Some(b"1") => (told.is_debug, told.is_sampled) = (true, Some(true)),
        Some(_) => return None,
    }
    told.ids = match (trace, span) {
        (Some(trace), Some(span)) => Some((trace_id(trace)?, id(span)?)),
        (None, None) => None,
        (Some(_), None) | (None, Some(_)) => return None,
    };
    Some(if told == Told::default() { Heard::Nothing } else { Heard::Told(told) })
}

struct Repeated;

fn only<'r>(request: &'r Request, name: &[u8]) -> Result<Option<&'r [u8]>, Repeated> {
    let mut found = None;
    for header in request.headers.iter().filter(|header| header.known == Known::Other) {
        if request.slice(header.name) == name && found.replace(request.slice(header.value)).is_some() {
            return Err(Repeated);
        }
    }
    Ok(found)
}

fn decided(trace: &Trace) -> &'static [u8] {
    match (trace.is_debug, trace.is_sampled()) {
        (true, _) => b"d",
        (false, true) => b"1",
        (false, false) => b"0",
    }
}

pub(super) fn write_single<S: HeadSink>(trace: &Trace, sink: &mut S) {
    sink.begin(b"b3: ");
    for piece in [&trace.id()[..], b"-", &trace.span(), b"-", decided(trace)] {
        sink.piece(piece);
    }
    if let Some(parent) = &trace.parent {
        sink.piece(b"-");
        sink.piece(parent);
    }
    sink.end();
}

pub(super) fn write<S: HeadSink>(trace: &Trace, sink: &mut S) {
    sink.own(b"x-b3-traceid: ", &trace.id());
    sink.own(b"x-b3-spanid: ", &trace.span());
    if let Some(parent) = &trace.parent {
        sink.own(b"x-b3-parentspanid: ", parent);
    }
    if trace.is_debug {
        sink.own(b"x-b3-flags: ", b"1");
    } else {
        sink.own(b"x-b3-sampled: ", decided(trace));
    }
}
