//! Everything that a caller may not do: what it came by, what it lacks, what forbids it.

use std::borrow::Cow;
use std::sync::Arc;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Forbidden {
    /// The route is not for requests that came in plain; with a location, the client is sent there.
    Plain { location: Option<Box<str>> },
    /// A scope or role is missing, or one is too much. `is_bearer`: a token proved the caller.
    Unqualified { lack: Arc<Lack>, is_bearer: bool },
    /// No permission of this name, or without a name, none for this method and path. `by` is the index in the snapshot of
    /// the scope or role that forbids it, if one does.
    Unpermitted { permission: Option<Arc<str>>, by: Option<u32> },
    /// `rule` is its index in the snapshot; the message is for the caller.
    Ruled { rule: u32, ruling: Ruling, message: Option<Arc<str>> },
}

impl Forbidden {
    pub fn status(&self) -> u16 {
        match self {
            Self::Plain { location: Some(_) } => 308,
            Self::Plain { location: None }
            | Self::Unqualified { .. }
            | Self::Unpermitted { .. }
            | Self::Ruled { .. } => 403,
        }
    }

    /// The `error` of the body.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Plain { .. } => "https_required",
            Self::Unqualified { lack, .. } => match (lack.demand, lack.quality) {
                (Demand::None, _) => "caller_excluded",
                (Demand::All | Demand::Any, Quality::Scope) => "insufficient_scope",
                (Demand::All | Demand::Any, Quality::Role) => "insufficient_role",
            },
            Self::Unpermitted { .. } => "permission_denied",
            Self::Ruled { .. } => "rule_denied",
        }
    }

    /// What would work, where that is no secret.
    pub fn message(&self) -> Cow<'static, str> {
        match self {
            Self::Plain { .. } => "this is served over https only".into(),
            Self::Unqualified { lack, .. } => lack.message().into(),
            Self::Unpermitted { permission: Some(name), .. } => {
                format!("the permission {name} is required").into()
            }
            Self::Unpermitted { permission: None, .. } => {
                "the permissions of this caller do not cover this method and path".into()
            }
            Self::Ruled { message: Some(message), .. } => message.to_string().into(),
            Self::Ruled { message: None, .. } => "a rule of this route does not allow this request".into(),
        }
    }

    /// Which scopes a token would have to have (RFC 6750 section 3.1). Other credentials cannot be had with more of them.
    pub fn challenge(&self) -> Option<String> {
        let Self::Unqualified { lack, is_bearer: true } = self else { return None };
        let is_for_more = lack.quality == Quality::Scope && lack.demand != Demand::None;
        is_for_more.then(|| format!("Bearer error=\"insufficient_scope\", scope=\"{}\"", lack.challenge))
    }
}

/// Why an expression came to nothing. Whatever it is, the request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RuleFault {
    /// A header, parameter, claim or member that was not there.
    MissingKey,
    WrongType,
    Overflow,
    DivisionByZero,
    /// A list has no such place.
    OutOfRange,
    /// Bytes of a header or query that are not UTF-8.
    NotText,
    /// A query parameter that was sent twice: the service might read the other one.
    Repeated,
    /// A text or number that cannot be made what is asked for.
    Conversion,
    /// It took more steps than `node.max_rule_steps`.
    TooManySteps,
    NotBoolean,
}

impl RuleFault {
    pub const ALL: [Self; 10] = [
        Self::MissingKey,
        Self::WrongType,
        Self::Overflow,
        Self::DivisionByZero,
        Self::OutOfRange,
        Self::NotText,
        Self::Repeated,
        Self::Conversion,
        Self::TooManySteps,
        Self::NotBoolean,
    ];

    /// One word, for metrics and records.
    pub fn text(self) -> &'static str {
        match self {
            Self::MissingKey => "missing_key",
            Self::WrongType => "wrong_type",
            Self::Overflow => "overflow",
            Self::DivisionByZero => "division_by_zero",
            Self::OutOfRange => "out_of_range",
            Self::NotText => "not_text",
            Self::Repeated => "repeated",
            Self::Conversion => "conversion",
            Self::TooManySteps => "too_many_steps",
            Self::NotBoolean => "not_boolean",
        }
    }
}

/// How a rule came to refuse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ruling {
    /// A `deny` held.
    Denied,
    /// No `allow` held.
    NotAllowed,
    /// Its expression failed.
    Failed(RuleFault),
}

impl Ruling {
    /// For the record.
    pub fn text(self) -> &'static str {
        match self {
            Self::Denied => "a `deny` holds",
            Self::NotAllowed => "no `allow` holds",
            Self::Failed(_) => "the expression failed",
        }
    }
}

/// What a caller has some of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quality {
    Scope,
    Role,
}

/// How a route wants it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Demand {
    All,
    Any,
    None,
}

/// What a route demands of a caller that it has not, or has and must not have.
#[derive(Debug, PartialEq, Eq)]
pub struct Lack {
    pub quality: Quality,
    pub demand: Demand,
    /// The one that is missing or too much; of `Any` all that would do, with spaces between them.
    pub names: Box<str>,
    /// Scopes with which a token would do, for `WWW-Authenticate`.
    pub challenge: Arc<str>,
}

impl Lack {
    /// What the record calls it.
    pub fn input(&self) -> &'static str {
        match (self.quality, self.demand) {
            (Quality::Scope, Demand::All) => "missing_scope",
            (Quality::Scope, Demand::Any) => "missing_any_scope",
            (Quality::Scope, Demand::None) => "excluded_scope",
            (Quality::Role, Demand::All) => "missing_role",
            (Quality::Role, Demand::Any) => "missing_any_role",
            (Quality::Role, Demand::None) => "excluded_role",
        }
    }

    /// For the caller.
    pub fn message(&self) -> String {
        let what = match self.quality {
            Quality::Scope => "scope",
            Quality::Role => "role",
        };
        let names = &self.names;
        match self.demand {
            Demand::All => format!("the {what} {names} is required"),
            Demand::Any => format!("one of the {what}s {} is required", names.replace(' ', ", ")),
            Demand::None => format!("callers with the {what} {names} are not allowed here"),
        }
    }
}
