//! Whom a tier counts: one thing about a request, or several together.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

use crate::refusal::KeyKind;

/// Parts that one subject may have.
pub(super) const MAX_PARTS: usize = 4;

/// One thing that requests are told apart by. Of a header only a digest is kept: it may be long, or a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Part<T> {
    Global,
    Service(T),
    Route(T),
    User(T),
    ApiKey(T),
    V4(Ipv4Addr),
    V6 {
        prefix: Ipv6Addr,
        length: u8,
    },
    Header {
        name: T,
        digest: [u8; 16],
    },
    Fingerprint([u8; 16]),
    Tenant(T),
    /// As of a header: a claim may be long, and tell about a person.
    Claim {
        name: T,
        digest: [u8; 16],
    },
}

/// A subject, borrowed from the request and its route: its parts in the order of the configuration.
pub(super) type Subject<'a> = [Part<&'a str>];

/// The same, as the counters keep it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Owned {
    One(Part<Box<str>>),
    Several(Box<[Part<Box<str>>]>),
}

impl<T> Part<T> {
    /// The word for its kind that refused callers are told.
    fn kind(&self) -> KeyKind {
        match self {
            Self::Global => KeyKind::Global,
            Self::Service(_) => KeyKind::Service,
            Self::Route(_) => KeyKind::Route,
            Self::User(_) => KeyKind::User,
            Self::ApiKey(_) => KeyKind::ApiKey,
            Self::V4(_) | Self::V6 { .. } => KeyKind::ClientIp,
            Self::Header { .. } => KeyKind::Header,
            Self::Fingerprint(_) => KeyKind::Fingerprint,
            Self::Tenant(_) => KeyKind::Tenant,
            Self::Claim { .. } => KeyKind::Claim,
        }
    }
}

/// The same of all parts of a subject.
pub(super) fn kind<T>(parts: &[Part<T>]) -> KeyKind {
    match parts {
        [part] => part.kind(),
        _ => KeyKind::Several,
    }
}

impl Part<&str> {
    /// An address; of IPv6 its prefix, since one subscriber has all of it.
    pub(super) fn address(address: IpAddr, v6_prefix: u8) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::V4(address),
            IpAddr::V6(address) => {
                let length = v6_prefix.min(128);
                let host_bits = u32::from(128 - length);
                let mask = u128::MAX.checked_shl(host_bits).unwrap_or(0);
                Self::V6 { prefix: Ipv6Addr::from_bits(address.to_bits() & mask), length }
            }
        }
    }

    fn kept(self) -> Part<Box<str>> {
        match self {
            Self::Global => Part::Global,
            Self::Service(name) => Part::Service(name.into()),
            Self::Route(name) => Part::Route(name.into()),
            Self::User(name) => Part::User(name.into()),
            Self::ApiKey(id) => Part::ApiKey(id.into()),
            Self::V4(address) => Part::V4(address),
            Self::V6 { prefix, length } => Part::V6 { prefix, length },
            Self::Header { name, digest } => Part::Header { name: name.into(), digest },
            Self::Fingerprint(digest) => Part::Fingerprint(digest),
            Self::Tenant(name) => Part::Tenant(name.into()),
            Self::Claim { name, digest } => Part::Claim { name: name.into(), digest },
        }
    }
}

impl Part<Box<str>> {
    pub(super) fn borrow(&self) -> Part<&str> {
        match self {
            Self::Global => Part::Global,
            Self::Service(name) => Part::Service(name),
            Self::Route(name) => Part::Route(name),
            Self::User(name) => Part::User(name),
            Self::ApiKey(id) => Part::ApiKey(id),
            Self::V4(address) => Part::V4(*address),
            Self::V6 { prefix, length } => Part::V6 { prefix: *prefix, length: *length },
            Self::Header { name, digest } => Part::Header { name, digest: *digest },
            Self::Fingerprint(digest) => Part::Fingerprint(*digest),
            Self::Tenant(name) => Part::Tenant(name),
            Self::Claim { name, digest } => Part::Claim { name, digest: *digest },
        }
    }
}

impl Owned {
    pub(super) fn of(subject: &Subject<'_>) -> Self {
        match subject {
            [one] => Self::One(one.kept()),
            several => Self::Several(several.iter().map(|part| part.kept()).collect()),
        }
    }

    pub(super) fn parts(&self) -> &[Part<Box<str>>] {
        match self {
            Self::One(part) => std::slice::from_ref(part),
            Self::Several(parts) => parts,
        }
    }

    pub(super) fn is(&self, subject: &Subject<'_>) -> bool {
        match (self, subject) {
            (Self::One(own), [other]) => own.borrow() == *other,
            (Self::Several(parts), subject) => {
                parts.len() == subject.len()
                    && parts.iter().zip(subject).all(|(own, other)| own.borrow() == *other)
            }
            (Self::One(_), _) => false,
        }
    }
}

/// Joined by `+`.
impl fmt::Display for Owned {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, part) in self.parts().iter().enumerate() {
            if index > 0 {
                formatter.write_str("+")?;
            }
            part.borrow().fmt(formatter)?;
        }
        Ok(())
    }
}

impl fmt::Display for Part<&str> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Global => formatter.write_str("global"),
            Self::Service(name) => write!(formatter, "service:{name}"),
            Self::Route(name) => write!(formatter, "route:{name}"),
            Self::User(user) => write!(formatter, "user:{user}"),
            Self::ApiKey(id) => write!(formatter, "api_key:{id}"),
            Self::V4(address) => write!(formatter, "ip:{address}"),
            Self::V6 { prefix, length } => write!(formatter, "ip:{prefix}/{length}"),
            Self::Header { name, digest } => {
                write!(formatter, "header:{name}:{:032x}", u128::from_be_bytes(*digest))
            }
            Self::Tenant(name) => write!(formatter, "tenant:{name}"),
            Self::Claim { name, digest } => {
                write!(formatter, "claim:{name}:{:032x}", u128::from_be_bytes(*digest))
            }
            Self::Fingerprint(digest) => {
                write!(formatter, "fingerprint:{:032x}", u128::from_be_bytes(*digest))
            }
        }
    }
}

/// Whom an administrator means: a subject as it is listed, a part of one, or an address within one.
pub(super) struct Wanted<'a> {
    text: &'a str,
    address: Option<IpAddr>,
}

impl<'a> Wanted<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, address: text.strip_prefix("ip:").and_then(|address| address.parse().ok()) }
    }

    /// The subject, or one of its parts: what is meant by one user is all that is counted of it. `memory` is for the text
    /// of the subject, so that a search makes only one.
    pub(super) fn is(&self, subject: &Owned, memory: &mut String) -> bool {
        if subject.parts().iter().any(|part| self.is_part(part, memory)) {
            return true;
        }
        memory.clear();
        // Writing to memory cannot fail.
        let _ = fmt::Write::write_fmt(memory, format_args!("{subject}"));
        memory == self.text
    }

    fn is_part(&self, part: &Part<Box<str>>, memory: &mut String) -> bool {
        if let (Some(address), Part::V4(_) | Part::V6 { .. }) = (self.address, part) {
            let length = if let Part::V6 { length, .. } = part { *length } else { 128 };
            return part.borrow() == Part::address(address, length);
        }
        memory.clear();
        // Writing to memory cannot fail.
        let _ = fmt::Write::write_fmt(memory, format_args!("{}", part.borrow()));
        memory == self.text
    }
}
