//! One record as one line of JSON, written straight into the worker's chunk: the 24 fields of requirement LG-1 in
//! their order, then what explains the answer.

use std::io::Write;
use std::net::IpAddr;

use super::entry::{Entry, Names};
use super::escape::{cut, quoted};
use super::redact;
use super::timestamp::{Timestamp, three};
use crate::request::{Known, Scheme, Version};
use crate::trail::{Input, Inputs, Step};

/// Bytes after which a text of a peer is cut.
const TEXT_LIMIT: usize = 512;
/// Bytes after which a path or a query is cut.
const TARGET_LIMIT: usize = 2_048;

/// Appends the record with its line end. Allocates only when `out` has to grow.
pub(super) fn encode(out: &mut Vec<u8>, entry: &Entry<'_>, timestamp: &mut Timestamp) {
    out.extend_from_slice(b"{\"timestamp\":\"");
    timestamp.write(out, entry.started_ms);
    request(out, entry);
    destination(out, entry);
    measures(out, entry);
    outcome(out, entry);
    context(out, entry);
    decisions(out, entry.trail.steps(), entry.names);
    out.extend_from_slice(b"]}\n");
}

fn request(out: &mut Vec<u8>, entry: &Entry<'_>) {
    let request = entry.request;
    out.extend_from_slice(b"\",\"request_id\":");
    known(out, request.slice(request.id), TEXT_LIMIT);
    out.extend_from_slice(b",\"method\":");
    known(out, request.slice(request.method_text), TEXT_LIMIT);
    out.extend_from_slice(b",\"path\":");
    known(out, request.slice(request.path), TARGET_LIMIT);
    out.extend_from_slice(b",\"query_string\":\"");
    if let Some(query) = request.query {
        redact::query(out, cut(request.slice(query), TARGET_LIMIT));
    }
    out.extend_from_slice(b"\",\"status\":");
    if entry.status == 0 {
        out.extend_from_slice(b"null");
    } else {
        number(out, u64::from(entry.status));
    }
    out.extend_from_slice(b",\"client_ip\":\"");
    address(out, request.client);
    out.extend_from_slice(b"\",\"user_agent\":");
    match request.known(Known::UserAgent) {
        Some(agent) => quoted(out, agent, TEXT_LIMIT),
        None => out.extend_from_slice(b"null"),
    }
}

fn destination(out: &mut Vec<u8>, entry: &Entry<'_>) {
    out.extend_from_slice(b",\"user_id\":");
    optional(out, entry.user);
    out.extend_from_slice(b",\"partner_id\":");
    optional(out, entry.partner);
    out.extend_from_slice(b",\"backend_service\":");
    optional(out, entry.service);
    out.extend_from_slice(b",\"backend_instance\":");
    optional(out, entry.instance);
    out.extend_from_slice(b",\"route_id\":");
    optional(out, entry.route);
}

fn measures(out: &mut Vec<u8>, entry: &Entry<'_>) {
    out.extend_from_slice(b",\"total_latency_ms\":");
    milliseconds(out, entry.times.total);
    out.extend_from_slice(b",\"gateway_overhead_ms\":");
    milliseconds(out, entry.times.overhead);
    out.extend_from_slice(b",\"upstream_latency_ms\":");
    match entry.times.upstream {
        Some(upstream) => milliseconds(out, upstream),
        None => out.extend_from_slice(b"null"),
    }
    out.extend_from_slice(b",\"rate_limit_remaining\":");
    match entry.rate_limit_remaining {
        Some(remaining) => number(out, remaining),
        None => out.extend_from_slice(b"null"),
    }
    let limited: &[u8] = if entry.rate_limited { b"true" } else { b"false" };
    out.extend_from_slice(b",\"rate_limited\":");
    out.extend_from_slice(limited);
    out.extend_from_slice(b",\"request_bytes\":");
    number(out, entry.request_bytes);
    out.extend_from_slice(b",\"response_bytes\":");
    number(out, entry.response_bytes);
}

fn outcome(out: &mut Vec<u8>, entry: &Entry<'_>) {
    out.extend_from_slice(b",\"error_type\":");
    optional(out, entry.error_type);
    out.extend_from_slice(b",\"error_message\":");
    optional(out, entry.error_message);
    out.extend_from_slice(b",\"gateway_instance\":");
    text(out, entry.node);
    out.extend_from_slice(b",\"gateway_version\":");
    text(out, entry.software);
}

fn context(out: &mut Vec<u8>, entry: &Entry<'_>) {
    let request = entry.request;
    let protocol: &[u8] = match request.version {
        Version::Http10 => b",\"protocol\":\"HTTP/1.0\"",
        Version::Http11 => b",\"protocol\":\"HTTP/1.1\"",
    };
    let scheme: &[u8] = match request.scheme {
        Scheme::Http => b",\"scheme\":\"http\",\"host\":",
        Scheme::Https => b",\"scheme\":\"https\",\"host\":",
    };
    out.extend_from_slice(b",\"config_version\":");
    number(out, entry.config_version);
    out.extend_from_slice(protocol);
    out.extend_from_slice(scheme);
    known(out, request.slice(request.host), TEXT_LIMIT);
    out.extend_from_slice(b",\"listener\":");
    text(out, entry.listener);
    out.extend_from_slice(b",\"attempts\":");
    number(out, u64::from(entry.attempts));
    out.extend_from_slice(b",\"trace_id\":");
    optional(out, entry.trace_id);
}

fn decisions(out: &mut Vec<u8>, steps: &[Step], names: &dyn Names) {
    out.extend_from_slice(b",\"decisions\":[");
    for (index, step) in steps.iter().enumerate() {
        let start: &[u8] = if index == 0 { b"{\"stage\":\"" } else { b",{\"stage\":\"" };
        out.extend_from_slice(start);
        out.extend_from_slice(step.stage.text().as_bytes());
        out.extend_from_slice(b"\",\"verdict\":");
        text(out, step.verdict);
        match names.rule(step.rule) {
            Some((name, at)) => {
                out.extend_from_slice(b",\"rule\":");
                text(out, name);
                out.extend_from_slice(b",\"at\":");
                text(out, at);
            }
            None => out.extend_from_slice(b",\"rule\":null,\"at\":null"),
        }
        inputs(out, &step.inputs);
    }
}

fn inputs(out: &mut Vec<u8>, inputs: &Inputs) {
    out.extend_from_slice(b",\"inputs\":{");
    for (index, (name, value)) in inputs.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        text(out, name);
        out.push(b':');
        match value {
            Input::Number(value) => number(out, *value),
            Input::Static(value) => text(out, value),
            Input::Text(value) => text(out, value),
        }
    }
    out.extend_from_slice(b"}}");
}

fn text(out: &mut Vec<u8>, value: &str) {
    quoted(out, value.as_bytes(), TEXT_LIMIT);
}

fn optional(out: &mut Vec<u8>, value: Option<&str>) {
    match value {
        Some(value) => text(out, value),
        None => out.extend_from_slice(b"null"),
    }
}

/// A part of the request that is empty when intake refused before it was reached.
fn known(out: &mut Vec<u8>, value: &[u8], limit: usize) {
    if value.is_empty() {
        out.extend_from_slice(b"null");
    } else {
        quoted(out, value, limit);
    }
}

fn number(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Microseconds as milliseconds with three decimals.
fn milliseconds(out: &mut Vec<u8>, microseconds: u64) {
    number(out, microseconds / 1_000);
    out.push(b'.');
    out.extend_from_slice(&three((microseconds % 1_000) as u32));
}

/// The standard formatter costs more than the rest of a field, and most addresses are of version 4.
fn address(out: &mut Vec<u8>, address: IpAddr) {
    match address {
        IpAddr::V4(address) => {
            let [first, others @ ..] = address.octets();
            number(out, u64::from(first));
            for octet in others {
                out.push(b'.');
                number(out, u64::from(octet));
            }
        }
        // Writing to a vector cannot fail.
        IpAddr::V6(address) => drop(write!(out, "{address}")),
    }
}
