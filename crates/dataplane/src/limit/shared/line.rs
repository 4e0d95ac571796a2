//! One tier of a request as the store is asked about it, and as it answers.

use std::fmt::Write;

use aws_lc_rs::digest::{SHA256, digest};
use smallvec::SmallVec;

use crate::limit::reading::{Reading, Verdict};
use crate::limit::rule::{Algorithm, Rule};
use crate::limit::subject::{Owned, Part};

/// Longer subjects are told by their digest.
const LONGEST: usize = 96;

/// What is asked of one tier. The names of the fields are those of the script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Its part in braces decides on which server of a cluster it is.
    pub key: String,
    pub kind: &'static str,
    pub limit: u64,
    pub window: u64,
    pub room: u64,
    pub needed: u64,
    /// Negative where it is given back.
    pub charged: i64,
    /// 0: exactly what is charged; otherwise as much of this as there is.
    pub block: u64,
    pub mode: Mode,
    /// Number and end of the day or month.
    pub period: (u64, u64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Normal = 0,
    /// Refuses nobody.
    Trial = 1,
    /// Charged without being asked.
    Forced = 2,
}

/// What is told of one tier.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Told {
    pub passes: bool,
    pub remaining: u64,
    pub reset: u64,
    pub retry_after: u64,
    pub delay_ms: u64,
    pub charged: u64,
    /// Until the end of the window, from now on.
    pub ends_in_ms: u64,
}

/// Of all tiers of a request that are asked about. Mostly that is one, which needs no memory of its own.
pub type Lines = SmallVec<[Line; 1]>;

/// What is told of them, in their order.
pub type ToldOfAll = SmallVec<[Told; 1]>;

impl Told {
    /// Numbers of each answer.
    pub const WIDTH: usize = 7;

    /// `None` for anything but the answer of the script.
    pub fn read(numbers: &[i64]) -> Option<Self> {
        let [passes, remaining, reset, retry_after, delay_ms, charged, ends_in_ms] = *numbers else {
            return None;
        };
        let number = |number: i64| u64::try_from(number).unwrap_or(0);
        Some(Self {
            passes: passes == 1,
            remaining: number(remaining),
            reset: number(reset),
            retry_after: number(retry_after),
            delay_ms: number(delay_ms),
            charged: number(charged),
            ends_in_ms: number(ends_in_ms),
        })
    }

    /// What a counter of this node would have answered.
    pub(in crate::limit) fn reading(&self, rule: &Rule) -> Reading {
        let verdict = if self.passes { Verdict::Admitted } else { Verdict::Refused };
        let Self { remaining, reset, retry_after, delay_ms, .. } = *self;
        Reading { verdict, limit: rule.most(), remaining, reset, retry_after, delay_ms }
    }
}

impl Line {
    /// The line of a tier, without what a request needs of it.
    pub(in crate::limit) fn new(key: String, rule: &Rule) -> Self {
        let (kind, room) = match rule.algorithm {
            Algorithm::FixedWindow => ("f", 0),
            Algorithm::Quota => ("q", 0),
            Algorithm::Bucket => ("b", rule.burst),
            Algorithm::Leaky => ("l", rule.max_delay_ms),
            // The last three are never asked about.
            Algorithm::SlidingWindow | Algorithm::SlidingLog | Algorithm::Concurrency | Algorithm::Lease => {
                ("w", 0)
            }
        };
        Self {
            key,
            kind,
            limit: rule.limit,
            window: rule.window_ms,
            room,
            needed: 1,
            charged: 1,
            block: 0,
            mode: Mode::Normal,
            period: rule.period.map_or((0, 0), |period| (period.index, period.end_ms)),
        }
    }

    /// What decides on which server of a cluster its count is.
    pub fn tag(&self) -> &str {
        let tag = self.key.split_once('{').and_then(|(_, rest)| rest.split_once('}'));
        tag.map_or(&*self.key, |(tag, _)| tag)
    }
}

impl Rule {
    /// The most that can be left of it.
    fn most(&self) -> u64 {
        match self.algorithm {
            Algorithm::Bucket => self.burst,
            Algorithm::Leaky => {
                (self.max_delay_ms.saturating_mul(self.limit) / self.window_ms).saturating_add(1)
            }
            Algorithm::SlidingWindow
            | Algorithm::FixedWindow
            | Algorithm::SlidingLog
            | Algorithm::Quota
            | Algorithm::Concurrency
            | Algorithm::Lease => self.limit,
        }
    }
}

/// `rate:{SUBJECT}:TIER`. Ids of API keys are told by their digest, as is whatever is long or has unusual characters.
pub(super) fn key(subject: &Owned, tier: &str) -> String {
    let mut text = String::with_capacity(96);
    text.push_str("rate:{");
    for (place, part) in subject.parts().iter().enumerate() {
        if place > 0 {
            text.push('+');
        }
        put(&mut text, part);
    }
    text.push_str("}:");
    text.push_str(tier);
    text
}

fn put(text: &mut String, part: &Part<Box<str>>) {
    let begin = text.len();
    if let Part::ApiKey(id) = part {
        text.push_str("apikey:");
        put_digest(text, id.as_bytes());
        return;
    }
    put_plainly(text, part);
    let told = text.get(begin..).unwrap_or_default();
    let is_plain =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b':' | b'@' | b'/');
    if told.len() > LONGEST || !told.bytes().all(is_plain) {
        let told = told.to_owned();
        text.truncate(begin);
        text.push_str(told.split(':').next().unwrap_or_default());
        text.push('#');
        put_digest(text, told.as_bytes());
    }
}

/// As it is displayed. Most of what is limited is put together without the formatter, which costs more than the rest.
fn put_plainly(text: &mut String, part: &Part<Box<str>>) {
    let mut named = |kind: &str, name: &str| {
        text.push_str(kind);
        text.push_str(name);
    };
    match part {
        Part::User(name) => named("user:", name),
        Part::Tenant(name) => named("tenant:", name),
        Part::Route(name) => named("route:", name),
        Part::Service(name) => named("service:", name),
        Part::Header { name, digest } => {
            named("header:", name);
            text.push(':');
            put_hexadecimal(text, digest);
        }
        Part::Claim { name, digest } => {
            named("claim:", name);
            text.push(':');
            put_hexadecimal(text, digest);
        }
        Part::Global | Part::ApiKey(_) | Part::V4(_) | Part::V6 { .. } | Part::Fingerprint(_) => {
            // Writing to memory cannot fail.
            let _ = write!(text, "{}", part.borrow());
        }
    }
}

fn put_digest(text: &mut String, bytes: &[u8]) {
    let digest = digest(&SHA256, bytes);
    put_hexadecimal(text, &digest.as_ref().first_chunk().copied().unwrap_or_default());
}

fn put_hexadecimal(text: &mut String, bytes: &[u8; 16]) {
    let digit = |value: u8| value + if value < 10 { b'0' } else { b'a' - 10 };
    let digits = bytes.map(|byte| [digit(byte >> 4), digit(byte & 15)]);
    text.push_str(std::str::from_utf8(digits.as_flattened()).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(part: Part<&str>) -> String {
        key(&Owned::of(&[part]), "standard")
    }

    #[test]
    fn names_tell_subject_and_tier_and_never_a_key() {
        assert_eq!(named(Part::User("ann")), "rate:{user:ann}:standard");
        assert_eq!(named(Part::V4("192.0.2.7".parse().unwrap())), "rate:{ip:192.0.2.7}:standard");
        assert_eq!(named(Part::Global), "rate:{global}:standard");
        let api_key = named(Part::ApiKey("gw_live_secret"));
        assert!(api_key.starts_with("rate:{apikey:") && !api_key.contains("secret"), "{api_key}");
        let several = key(&Owned::of(&[Part::User("ann"), Part::Route("orders")]), "t");
        assert_eq!(several, "rate:{user:ann+route:orders}:t");
    }

    #[test]
    fn a_part_is_told_as_it_is_displayed() {
        let digest = [0, 1, 0x0a, 0x9f, 0xa0, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10];
        for part in [
            Part::Global,
            Part::Service("s"),
            Part::Route("r"),
            Part::User("ann"),
            Part::V4("192.0.2.7".parse().unwrap()),
            Part::V6 { prefix: "2001:db8::".parse().unwrap(), length: 64 },
            Part::Header { name: "x-caller", digest },
            Part::Fingerprint(digest),
            Part::Tenant("acme"),
            Part::Claim { name: "sub", digest },
        ] {
            assert_eq!(named(part), format!("rate:{{{part}}}:standard"));
        }
    }

    #[test]
    fn no_user_can_take_the_name_of_another() {
        let strange = ["a}b", "a{b", "a+ip:192.0.2.7", "", " ", "é", "user#", &"x".repeat(500)];
        let names: Vec<String> = strange.into_iter().map(|user| named(Part::User(user))).collect();
        for (place, name) in names.iter().enumerate() {
            assert!(name.len() < 140, "{name}");
            assert_eq!(name.matches('{').count(), 1, "{name}");
            assert!(!names.iter().take(place).any(|other| other == name), "{name}");
        }
    }

    #[test]
    fn an_answer_of_another_shape_is_none() {
        assert!(Told::read(&[1, 2, 3]).is_none());
        assert!(Told::read(&[]).is_none());
        let told = Told::read(&[1, 9, 60, 0, 0, 1, 500]).unwrap();
        assert_eq!((told.passes, told.remaining, told.charged), (true, 9, 1));
    }
}
