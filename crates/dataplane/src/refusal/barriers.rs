//! Why an address may not ask, and what would let it.

use std::sync::Arc;

use ipnet::IpNet;

use crate::addresses::Country;

/// What keeps an address out. For the record; the client learns only that it is kept out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Barrier {
    /// The caller may call from other networks only.
    Caller,
    /// By hand, for a time.
    Blocked {
        network: IpNet,
    },
    /// Index of the list in the snapshot.
    Denied {
        list: u32,
    },
    /// It is in none of the lists that are allowed.
    NotAllowed,
    Country(Option<Country>),
    Reputation {
        score: u8,
    },
}

impl Barrier {
    /// In records, and as a label of metrics.
    pub fn text(self) -> &'static str {
        match self {
            Self::Caller => "caller",
            Self::Blocked { .. } => "blocked",
            Self::Denied { .. } => "denied",
            Self::NotAllowed => "not_allowed",
            Self::Country(_) => "country",
            Self::Reputation { .. } => "reputation",
        }
    }
}

/// What a browser has to work on, or where it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ticket {
    pub seed: Box<str>,
    /// Epoch second at which it was given.
    pub seconds: u64,
    /// Zero bits.
    pub difficulty: u32,
    /// Seconds for which a proof is good.
    pub lifetime: u64,
    /// The page of a CAPTCHA.
    pub elsewhere: Option<Arc<str>>,
}
