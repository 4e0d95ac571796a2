//! Whom a tier counts.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::caller::Caller;
use crate::snapshot::document::PerDocument;

/// Who is counted, borrowed from the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Subject<'a> {
    User(&'a str),
    ApiKey(&'a str),
    V4(Ipv4Addr),
    /// The /64 of an address: one subscriber has all of it.
    V6([u8; 8]),
    Global,
}

/// The same, as the counters keep it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Owned {
    User(Box<str>),
    ApiKey(Box<str>),
    V4(Ipv4Addr),
    V6([u8; 8]),
    Global,
}

impl<'a> Subject<'a> {
    /// By the caller's name where it has one, otherwise by its address: nobody goes uncounted.
    pub(super) fn of(per: PerDocument, caller: &'a Caller, client: IpAddr) -> Self {
        let user = || caller.user.as_deref().map(Self::User);
        let api_key = || caller.key_id.as_deref().map(Self::ApiKey);
        match per {
            PerDocument::User => user().or_else(api_key).unwrap_or_else(|| Self::client(client)),
            PerDocument::ApiKey => api_key().or_else(user).unwrap_or_else(|| Self::client(client)),
            PerDocument::ClientIp => Self::client(client),
            PerDocument::Global => Self::Global,
        }
    }

    pub(super) fn client(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::V4(address),
            IpAddr::V6(address) => {
                let [a, b, c, d, e, f, g, h, ..] = address.octets();
                Self::V6([a, b, c, d, e, f, g, h])
            }
        }
    }

    /// `user:ID`, `api_key:ID`, `ip:ADDRESS` or `global`; `None` for anything else.
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        if text == "global" {
            return Some(Self::Global);
        }
        match text.split_once(':')? {
            ("user", user) => Some(Self::User(user)),
            ("api_key", id) => Some(Self::ApiKey(id)),
            ("ip", address) => {
                let address = address.strip_suffix("/64").unwrap_or(address);
                address.parse().ok().map(Self::client)
            }
            _ => None,
        }
    }

    pub(super) fn to_owned(self) -> Owned {
        match self {
            Self::User(user) => Owned::User(user.into()),
            Self::ApiKey(id) => Owned::ApiKey(id.into()),
            Self::V4(address) => Owned::V4(address),
            Self::V6(prefix) => Owned::V6(prefix),
            Self::Global => Owned::Global,
        }
    }
}

impl Owned {
    pub(super) fn borrow(&self) -> Subject<'_> {
        match self {
            Self::User(user) => Subject::User(user),
            Self::ApiKey(id) => Subject::ApiKey(id),
            Self::V4(address) => Subject::V4(*address),
            Self::V6(prefix) => Subject::V6(*prefix),
            Self::Global => Subject::Global,
        }
    }
}

/// In the form that `parse` reads.
impl fmt::Display for Subject<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(user) => write!(formatter, "user:{user}"),
            Self::ApiKey(id) => write!(formatter, "api_key:{id}"),
            Self::V4(address) => write!(formatter, "ip:{address}"),
            Self::V6([a, b, c, d, e, f, g, h]) => {
                let octets = [*a, *b, *c, *d, *e, *f, *g, *h, 0, 0, 0, 0, 0, 0, 0, 0];
                write!(formatter, "ip:{}/64", Ipv6Addr::from(octets))
            }
            Self::Global => formatter.write_str("global"),
        }
    }
}
