//! Everything that one record needs, borrowed from where it lies.

use super::policy::Policy;
use super::quoted::Quoted;
use crate::addresses::Country;
use crate::http1::response_head::ResponseHead;
use crate::request::Request;
use crate::trail::{Rule, Trail};

/// Resolves a rule of the trail to what the user called it. The snapshot that decided the request implements it.
pub trait Names {
    /// Name and position (`gateway.yaml:12:5`); `None` for `Rule::None` and for an index that does not exist.
    fn rule(&self, rule: Rule) -> Option<(&str, &str)>;

    /// The same as `encode_rule` writes it, where that was done beforehand.
    fn encoded(&self, _rule: Rule) -> Option<&[u8]> {
        None
    }
}

/// Durations in whole microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Times {
    /// From the first byte of the head to the last byte of the response.
    pub total: u64,
    /// The gateway's own share.
    pub overhead: u64,
    /// The service's share; `None` where no service was reached.
    pub upstream: Option<u64>,
    /// From turning to the service until the head of its answer was in; `None` where none came.
    pub first_byte: Option<u64>,
    /// Waiting for a place at the service.
    pub queued: u64,
    /// Opening a connection; `None` where there was one.
    pub connected: Option<u64>,
}

/// What the spans of a request need beside its trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Traced {
    /// In hexadecimal digits, as are all ids.
    pub span: [u8; 16],
    /// The caller's.
    pub parent: Option<[u8; 16]>,
    pub is_sampled: bool,
    /// Microseconds until a service was turned to.
    pub upstream_offset: Option<u64>,
}

/// One request, when it is over. Whatever is unknown is `None`, or empty in `request`, and becomes `null`.
#[derive(Clone, Copy)]
pub struct Entry<'a> {
    pub request: &'a Request,
    pub trail: &'a Trail,
    pub names: &'a dyn Names,
    pub policy: &'a Policy,
    /// How many requests it stands for; `None`: for itself.
    pub weight: Option<&'a str>,
    /// What the service answered with, where one did.
    pub response: Option<&'a ResponseHead>,
    /// Milliseconds since the epoch at which the request began.
    pub started_ms: u64,
    pub times: Times,
    /// 0 where no response began; written as `null`.
    pub status: u16,
    /// Bytes received of head and body.
    pub request_bytes: u64,
    /// Bytes sent of head and body.
    pub response_bytes: u64,
    pub listener: &'a Quoted,
    pub route: Option<&'a Quoted>,
    pub service: Option<&'a Quoted>,
    pub instance: Option<&'a str>,
    pub user: Option<&'a str>,
    pub partner: Option<&'a str>,
    pub tenant: Option<&'a str>,
    pub rate_limit_remaining: Option<u64>,
    pub rate_limited: bool,
    pub error_type: Option<&'a str>,
    pub error_message: Option<&'a str>,
    /// How often a service was asked; 0 where none was.
    pub attempts: u32,
    /// In hexadecimal digits, as `traceparent` has them.
    pub trace_id: Option<[u8; 32]>,
    /// `None`: nobody makes spans of records.
    pub traced: Option<Traced>,
    /// Outer `None`: the record does not say. Inner: it is unknown.
    pub country: Option<Option<Country>>,
    pub config_version: u64,
    /// `gateway_instance`.
    pub node: &'a str,
    /// `gateway_version`.
    pub software: &'a str,
}
