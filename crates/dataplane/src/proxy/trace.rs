//! The trace of a request: the caller's goes on with a span of ours, or a new one begins (requirements TR-1, TR-2, TR-6).

mod b3;
mod w3c;

use crate::proxy::head::HeadSink;
use crate::request::Request;
use crate::snapshot::document::{TraceFormatDocument, TracingDocument};

const LENGTH: usize = 55;

/// Of this many traces a share is sampled. Their number is the end of the trace's id, so that all who go by the id choose
/// the same traces.
const TRACES: u64 = 1 << 56;

pub type TraceId = [u8; 32];
pub type SpanId = [u8; 16];

/// How traces are kept, where somebody wants some.
#[derive(Clone, Debug)]
pub struct Tracing {
    w3c: bool,
    b3: bool,
    b3_single: bool,
    is_parent_based: bool,
    share: Share,
}

/// So many of `TRACES` are sampled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share(u64);

impl Share {
    /// From 0 to 1.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "bounded before"
    )]
    pub fn of(part: f64) -> Self {
        Self((part.clamp(0.0, 1.0) * TRACES as f64) as u64)
    }

    fn has(self, id: &TraceId) -> bool {
        let number = id.get(18..).and_then(|end| std::str::from_utf8(end).ok());
        number.and_then(|end| u64::from_str_radix(end, 16).ok()).is_some_and(|number| number < self.0)
    }
}

impl Tracing {
    pub fn compile(document: &TracingDocument) -> Self {
        let has = |format| document.propagate.contains(&format);
        Self {
            w3c: has(TraceFormatDocument::W3c),
            b3: has(TraceFormatDocument::B3),
            b3_single: has(TraceFormatDocument::B3Single),
            is_parent_based: document.parent_based,
            share: Share::of(document.sample),
        }
    }
}

/// What a caller says of the trace, in one format.
#[derive(Debug, PartialEq, Eq)]
enum Heard {
    Nothing,
    /// It is not to be understood: a new trace begins.
    Nonsense,
    Told(Told),
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Told {
    /// None where the caller has only decided.
    ids: Option<(TraceId, SpanId)>,
    is_sampled: Option<bool>,
    /// Sampled whatever anybody decides.
    is_debug: bool,
    /// The id is random to its end, as a caller says.
    is_random: bool,
}

#[derive(Clone, Debug)]
pub struct Trace {
    /// The `traceparent` that goes to the service.
    outgoing: [u8; LENGTH],
    /// The caller's span.
    parent: Option<SpanId>,
    is_debug: bool,
    /// What came as `tracestate` goes on.
    keeps_state: bool,
    tells: Tells,
}

/// In which formats services are told.
#[derive(Clone, Copy, Debug)]
struct Tells {
    w3c: bool,
    b3: bool,
    b3_single: bool,
}

impl Trace {
    /// `random` gives eight random bytes a call. `share`: the route's own.
    pub fn of(
        request: &Request,
        tracing: Option<&Tracing>,
        share: Option<Share>,
        random: &mut impl FnMut() -> u64,
    ) -> Self {
        let Some(tracing) = tracing else {
            // Nobody here wants traces: who begins one wants it.
            let tells = Tells { w3c: true, b3: false, b3_single: false };
            let mut begun = Self::begin(w3c::read(request), tells, random);
            begun.keep_state(request);
            begun.decide(begun.is_sampled.unwrap_or(true));
            return begun.trace;
        };
        let Tracing { w3c, b3, b3_single, is_parent_based, .. } = *tracing;
        let mut heard = if w3c { w3c::read(request) } else { Heard::Nothing };
        if heard == Heard::Nothing && b3_single {
            heard = b3::read_single(request);
        }
        if heard == Heard::Nothing && b3 {
            heard = b3::read(request);
        }
        let share = share.unwrap_or(tracing.share);
        let mut begun = Self::begin(heard, Tells { w3c, b3, b3_single }, random);
        begun.keep_state(request);
        let told = begun.is_sampled.filter(|_| is_parent_based);
        begun.decide(told.unwrap_or_else(|| share.has(&begun.trace.id())));
        begun.trace
    }

    fn begin(heard: Heard, tells: Tells, random: &mut impl FnMut() -> u64) -> Begun {
        let told = if let Heard::Told(told) = heard { told } else { Told::default() };
        let mut outgoing = *b"00-00000000000000000000000000000000-0000000000000000-00";
        match &told.ids {
            Some((id, _)) => put(&mut outgoing, 3, id),
            None => {
                put(&mut outgoing, 3, &hexadecimal(random()));
                put(&mut outgoing, 19, &hexadecimal(random() | 1));
            }
        }
        put(&mut outgoing, 36, &hexadecimal(random() | 1));
        let parent = told.ids.map(|(_, span)| span);
        let trace = Self { outgoing, parent, is_debug: told.is_debug, keeps_state: false, tells };
        Begun { trace, is_sampled: told.is_sampled, is_random: told.is_random }
    }

    pub fn id(&self) -> TraceId {
        let mut id = [b'0'; 32];
        id.copy_from_slice(self.outgoing.get(3..35).unwrap_or(&[b'0'; 32]));
        id
    }

    /// Of the gateway's own span.
    pub fn span(&self) -> SpanId {
        let mut span = [b'0'; 16];
        span.copy_from_slice(self.outgoing.get(36..52).unwrap_or(&[b'0'; 16]));
        span
    }

    pub fn parent(&self) -> Option<SpanId> {
        self.parent
    }

    pub fn is_sampled(&self) -> bool {
        self.outgoing.last().is_some_and(|digit| matches!(digit, b'1' | b'3'))
    }

    pub fn keeps_state(&self) -> bool {
        self.keeps_state
    }

    /// A header of the client's that ours takes the place of.
    pub fn replaces(&self, name: &[u8]) -> bool {
        (self.tells.b3 || self.tells.b3_single) && b3::is_name(name)
    }

    pub fn write<S: HeadSink>(&self, sink: &mut S) {
        if self.tells.w3c {
            sink.own(b"traceparent: ", &self.outgoing);
        }
        if self.tells.b3_single {
            b3::write_single(self, sink);
        }
        if self.tells.b3 {
            b3::write(self, sink);
        }
    }
}

/// A trace before it is decided whether it is sampled.
struct Begun {
    trace: Trace,
    is_sampled: Option<bool>,
    is_random: bool,
}

impl Begun {
    /// What vendors add goes on with the trace that it belongs to, where it is as it must be.
    fn keep_state(&mut self, request: &Request) {
        self.trace.keeps_state =
            self.trace.tells.w3c && self.trace.parent.is_some() && w3c::has_state(request);
    }

    /// Sampled or not, unless the caller looks for a fault with it.
    fn decide(&mut self, is_sampled: bool) {
        let is_sampled = self.trace.is_debug || is_sampled;
        let flags = b'0' + u8::from(is_sampled) + 2 * u8::from(self.is_random);
        put(&mut self.trace.outgoing, LENGTH - 1, &[flags]);
    }
}

fn put(outgoing: &mut [u8; LENGTH], at: usize, bytes: &[u8]) {
    if let Some(place) = outgoing.get_mut(at..at + bytes.len()) {
        place.copy_from_slice(bytes);
    }
}

/// Both digits of each byte.
#[expect(clippy::indexing_slicing, reason = "it is evaluated by the compiler")]
const DIGITS: [[u8; 2]; 256] = {
    let (hex, mut all, mut byte) = (b"0123456789abcdef", [[0; 2]; 256], 0);
    while byte < 256 {
        all[byte] = [hex[byte >> 4], hex[byte & 15]];
        byte += 1;
    }
    all
};

fn hexadecimal(value: u64) -> [u8; 16] {
    let mut out = [0; 16];
    let (pairs, _) = out.as_chunks_mut::<2>();
    for (pair, byte) in pairs.iter_mut().zip(value.to_be_bytes()) {
        *pair = DIGITS.get(usize::from(byte)).copied().unwrap_or_default();
    }
    out
}

/// An id of so many lower-case digits that is not all zeros.
fn id<const DIGITS: usize>(text: &[u8]) -> Option<[u8; DIGITS]> {
    let id: [u8; DIGITS] = text.try_into().ok()?;
    let is_digit = |byte: &u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(byte);
    (id.iter().all(is_digit) && id.iter().any(|digit| *digit != b'0')).then_some(id)
}

#[cfg(test)]
mod tests;
