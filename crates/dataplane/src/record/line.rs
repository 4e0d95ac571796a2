//! One record as one line of JSON, written straight into the worker's chunk: the 24 fields of requirement LG-1 in
//! their order, then what explains the answer.

use std::io::Write;
use std::net::IpAddr;

use super::entry::{Entry, Times, Traced};
use super::escape::{all_safe, cut, quoted};
use super::quoted::{Quoted, rule};
use super::redact;
use super::timestamp::{Timestamp, three};
use super::told::{self, without_cards};
use super::waits;
use crate::addresses::Country;
use crate::io::address::Dotted;
use crate::request::{Known, Method, Request, Scheme, Version};
use crate::trail::{Input, Inputs};

/// The input of a decision that is a user.
const USER: &str = "user";
/// Bytes after which a text of a peer is cut.
pub(super) const TEXT_LIMIT: usize = 512;
/// Bytes after which a path or a query is cut.
const TARGET_LIMIT: usize = 2_048;

/// Texts that most records share with the one before.
#[derive(Debug, Default)]
pub(super) struct Memory {
    timestamp: Timestamp,
    constants: Constants,
}

/// Appends the record with its line end. Allocates only when `out` has to grow.
pub(super) fn encode(out: &mut Vec<u8>, entry: &Entry<'_>, memory: &mut Memory) {
    literal(out, b"{\"timestamp\":\"");
    memory.timestamp.write(out, entry.started_ms);
    request(out, entry);
    destination(out, entry);
    measures(out, entry);
    outcome(out, entry);
    memory.constants.write(out, entry);
    context(out, entry);
    decisions(out, entry);
    literal(out, b"]}\n");
}

fn request(out: &mut Vec<u8>, entry: &Entry<'_>) {
    let Entry { request, policy, .. } = entry;
    literal(out, b"\",\"request_id\":");
    if policy.masks_everywhere() {
        known(out, &without_cards(request.slice(request.id), TEXT_LIMIT, policy), TEXT_LIMIT);
    } else {
        known(out, request.slice(request.id), TEXT_LIMIT);
    }
    method(out, request);
    literal(out, b",\"path\":");
    known(out, &without_cards(request.slice(request.path), TARGET_LIMIT, policy), TARGET_LIMIT);
    literal(out, b",\"query_string\":\"");
    if let Some(query) = request.query.filter(|_| policy.tells_texts()) {
        let query = without_cards(request.slice(query), TARGET_LIMIT, policy);
        redact::query(out, cut(&query, TARGET_LIMIT), &policy.common().secrets);
    }
    literal(out, b"\",\"status\":");
    if entry.status == 0 {
        literal(out, b"null");
    } else {
        number(out, u64::from(entry.status));
    }
    literal(out, b",\"client_ip\":\"");
    address(out, policy.address(request.client));
    literal(out, b"\",\"user_agent\":");
    match request.known(Known::UserAgent).filter(|_| policy.tells_texts()) {
        Some(agent) => quoted(out, &without_cards(agent, TEXT_LIMIT, policy), TEXT_LIMIT),
        None => literal(out, b"null"),
    }
}

/// Those that everybody knows need no look at their bytes.
fn method(out: &mut Vec<u8>, request: &Request) {
    let text = request.slice(request.method_text);
    literal(out, b",\"method\":");
    match request.method {
        // It is the method, too, of a request that was refused before its own was read.
        Method::Get if !text.is_empty() => literal(out, b"\"GET\""),
        Method::Head => literal(out, b"\"HEAD\""),
        Method::Post => literal(out, b"\"POST\""),
        Method::Put => literal(out, b"\"PUT\""),
        Method::Patch => literal(out, b"\"PATCH\""),
        Method::Delete => literal(out, b"\"DELETE\""),
        Method::Options => literal(out, b"\"OPTIONS\""),
        Method::Get | Method::Trace | Method::Connect | Method::Other => known(out, text, TEXT_LIMIT),
    }
}

fn destination(out: &mut Vec<u8>, entry: &Entry<'_>) {
    literal(out, b",\"user_id\":");
    match (entry.user, entry.policy.users()) {
        (Some(user), Some(users)) => text(out, &users.of(user, entry.started_ms)),
        (user, _) => optional(out, user),
    }
    literal(out, b",\"partner_id\":");
    optional(out, entry.partner);
    literal(out, b",\"tenant_id\":");
    optional(out, entry.tenant);
    literal(out, b",\"backend_service\":");
    name(out, entry.service);
    literal(out, b",\"backend_instance\":");
    optional(out, entry.instance);
    literal(out, b",\"route_id\":");
    name(out, entry.route);
}

fn measures(out: &mut Vec<u8>, entry: &Entry<'_>) {
    literal(out, b",\"total_latency_ms\":");
    milliseconds(out, entry.times.total);
    literal(out, b",\"gateway_overhead_ms\":");
    milliseconds(out, entry.times.overhead);
    literal(out, b",\"upstream_latency_ms\":");
    some_milliseconds(out, entry.times.upstream);
    literal(out, b",\"rate_limit_remaining\":");
    match entry.rate_limit_remaining {
        Some(remaining) => number(out, remaining),
        None => literal(out, b"null"),
    }
    let limited: &[u8] = if entry.rate_limited { b"true" } else { b"false" };
    literal(out, b",\"rate_limited\":");
    out.extend_from_slice(limited);
    literal(out, b",\"request_bytes\":");
    number(out, entry.request_bytes);
    literal(out, b",\"response_bytes\":");
    number(out, entry.response_bytes);
}

fn outcome(out: &mut Vec<u8>, entry: &Entry<'_>) {
    if (entry.error_type, entry.error_message) == (None, None) {
        literal(out, b",\"error_type\":null,\"error_message\":null");
    } else {
        literal(out, b",\"error_type\":");
        optional(out, entry.error_type);
        literal(out, b",\"error_message\":");
        optional(out, entry.error_message);
    }
}

/// What hardly ever changes between two records of a worker.
#[derive(Debug, Default)]
pub(super) struct Constants {
    node: String,
    software: String,
    text: Vec<u8>,
}

impl Constants {
    fn write(&mut self, out: &mut Vec<u8>, entry: &Entry<'_>) {
        if self.text.is_empty() || self.node != entry.node || self.software != entry.software {
            (self.node, self.software) = (entry.node.to_owned(), entry.software.to_owned());
            self.text.clear();
            literal(&mut self.text, b",\"gateway_instance\":");
            text(&mut self.text, entry.node);
            literal(&mut self.text, b",\"gateway_version\":");
            text(&mut self.text, entry.software);
            literal(&mut self.text, b",\"config_version\":");
        }
        out.extend_from_slice(&self.text);
    }
}

fn context(out: &mut Vec<u8>, entry: &Entry<'_>) {
    let request = entry.request;
    let protocol: &[u8] = match request.version {
        Version::Http10 => b",\"protocol\":\"HTTP/1.0\"",
        Version::Http11 => b",\"protocol\":\"HTTP/1.1\"",
        Version::Http2 => b",\"protocol\":\"HTTP/2\"",
    };
    let scheme: &[u8] = match request.scheme {
        Scheme::Http => b",\"scheme\":\"http\",\"host\":",
        Scheme::Https => b",\"scheme\":\"https\",\"host\":",
    };
    number(out, entry.config_version);
    out.extend_from_slice(protocol);
    out.extend_from_slice(scheme);
    known(out, request.slice(request.host), TEXT_LIMIT);
    literal(out, b",\"listener\":");
    out.extend_from_slice(entry.listener.bytes());
    literal(out, b",\"attempts\":");
    number(out, u64::from(entry.attempts));
    waits(out, entry);
    literal(out, b",\"trace_id\":");
    match entry.trace_id {
        Some(id) => {
            literal(out, b"\"");
            literal(out, &id);
            literal(out, b"\"");
        }
        None => literal(out, b"null"),
    }
    if let Some(traced) = &entry.traced {
        self::traced(out, traced);
    }
    security(out, entry);
    if let Some(country) = entry.country {
        literal(out, b",\"country\":");
        optional(out, country.as_ref().map(Country::text));
    }
    if entry.policy.tells_headers() {
        told::headers(out, entry);
    }
}

/// What the time until the service answered went into.
fn waits(out: &mut Vec<u8>, entry: &Entry<'_>) {
    let Times { queued, connected, first_byte, .. } = entry.times;
    if entry.attempts == 0 {
        return literal(
            out,
            b",\"queue_latency_ms\":null,\"connect_latency_ms\":null,\"first_byte_latency_ms\":null",
        );
    }
    literal(out, b",\"queue_latency_ms\":");
    milliseconds(out, queued);
    literal(out, b",\"connect_latency_ms\":");
    some_milliseconds(out, connected);
    literal(out, b",\"first_byte_latency_ms\":");
    some_milliseconds(out, first_byte);
}

fn traced(out: &mut Vec<u8>, traced: &Traced) {
    literal(out, b",\"span_id\":\"");
    literal(out, &traced.span);
    match &traced.parent {
        Some(parent) => {
            literal(out, b"\",\"parent_span_id\":\"");
            literal(out, parent);
            literal(out, b"\"");
        }
        None => literal(out, b"\",\"parent_span_id\":null"),
    }
    let sampled: &[u8] = if traced.is_sampled { b"true" } else { b"false" };
    literal(out, b",\"trace_sampled\":");
    out.extend_from_slice(sampled);
    literal(out, b",\"upstream_offset_ms\":");
    some_milliseconds(out, traced.upstream_offset);
}

fn security(out: &mut Vec<u8>, entry: &Entry<'_>) {
    match &entry.request.secured {
        None => literal(out, b",\"tls_version\":null,\"tls_cipher\":null,\"sampling_weight\":"),
        Some(secured) => {
            literal(out, b",\"tls_version\":\"");
            fixed(out, secured.version());
            literal(out, b"\",\"tls_cipher\":\"");
            fixed(out, secured.cipher());
            literal(out, b"\",\"sampling_weight\":");
        }
    }
    match entry.weight {
        None => literal(out, b"1"),
        Some(weight) => out.extend_from_slice(weight.as_bytes()),
    }
}

fn decisions(out: &mut Vec<u8>, entry: &Entry<'_>) {
    let names = entry.names;
    literal(out, b",\"decisions\":[");
    for (index, step) in entry.trail.steps().iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        literal(out, b"{\"stage\":\"");
        fixed(out, step.stage.text());
        literal(out, b"\",\"verdict\":\"");
        fixed(out, step.verdict);
        if let Some(encoded) = names.encoded(step.rule) {
            out.extend_from_slice(encoded);
        } else if let Some((name, at)) = names.rule(step.rule) {
            rule(out, name, at);
        } else {
            literal(out, b"\",\"rule\":null,\"at\":null");
        }
        if let Some(wait) = entry.trail.wait_of(index) {
            waits::tell(out, wait);
        }
        inputs(out, &step.inputs, entry);
    }
}

fn inputs(out: &mut Vec<u8>, inputs: &Inputs, entry: &Entry<'_>) {
    if inputs.is_empty() {
        return literal(out, b",\"inputs\":{}}");
    }
    literal(out, b",\"inputs\":{");
    for (index, (name, value)) in inputs.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        out.push(b'"');
        fixed(out, name);
        literal(out, b"\":");
        match value {
            Input::Number(value) => number(out, *value),
            Input::Static(value) => text(out, value),
            Input::Text(value) => match entry.policy.users().filter(|_| *name == USER) {
                Some(users) => text(out, &users.of(value, entry.started_ms)),
                None => text(out, value),
            },
        }
    }
    literal(out, b"}}");
}

/// Of a known length, so that it becomes a few stores instead of a call.
#[inline(always)]
pub(super) fn literal<const LENGTH: usize>(out: &mut Vec<u8>, text: &[u8; LENGTH]) {
    out.extend_from_slice(text);
}

/// A word of our own source, which needs no look at its bytes. The tests run with the assertion.
#[inline]
fn fixed(out: &mut Vec<u8>, word: &'static str) {
    debug_assert!(all_safe(word.as_bytes()), "{word:?} would have to be escaped");
    out.extend_from_slice(word.as_bytes());
}

pub(super) fn text(out: &mut Vec<u8>, value: &str) {
    quoted(out, value.as_bytes(), TEXT_LIMIT);
}

fn optional(out: &mut Vec<u8>, value: Option<&str>) {
    match value {
        Some(value) => text(out, value),
        None => literal(out, b"null"),
    }
}

fn name(out: &mut Vec<u8>, name: Option<&Quoted>) {
    match name {
        Some(name) => out.extend_from_slice(name.bytes()),
        None => literal(out, b"null"),
    }
}

/// A part of the request that is empty when intake refused before it was reached.
fn known(out: &mut Vec<u8>, value: &[u8], limit: usize) {
    if value.is_empty() {
        literal(out, b"null");
    } else {
        quoted(out, value, limit);
    }
}

fn number(out: &mut Vec<u8>, value: u64) {
    match value {
        0..10 => out.push(b'0' + value as u8),
        10..100 => literal(out, &[b'0' + (value as u8) / 10, b'0' + (value as u8) % 10]),
        100..1_000 => literal(out, &three(value as u32)),
        1_000.. => out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes()),
    }
}

/// Microseconds as milliseconds with three decimals.
pub(super) fn milliseconds(out: &mut Vec<u8>, microseconds: u64) {
    number(out, microseconds / 1_000);
    let [hundreds, tens, ones] = three((microseconds % 1_000) as u32);
    literal(out, &[b'.', hundreds, tens, ones]);
}

fn some_milliseconds(out: &mut Vec<u8>, microseconds: Option<u64>) {
    match microseconds {
        Some(microseconds) => milliseconds(out, microseconds),
        None => literal(out, b"null"),
    }
}

fn address(out: &mut Vec<u8>, address: IpAddr) {
    match address {
        IpAddr::V4(address) => out.extend_from_slice(Dotted::new(address).bytes()),
        // Writing to a vector cannot fail.
        IpAddr::V6(address) => drop(write!(out, "{address}")),
    }
}
