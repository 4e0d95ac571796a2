//! Refusals that only browsers meet: those of logins, and of requests that other sites have made.

/// Why a request of a browser is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BrowserRefusal {
    /// Nobody has logged in, and whoever sent this can: the browser is sent to the provider of this identity.
    LoginRequired { identity: u32 },
    /// The browser is back from the provider, and nobody is logged in.
    LoginFailed { identity: u32, fault: LoginFault },
    /// The browser has vouched for the caller, and perhaps not for the caller's own doing (RS-8).
    CrossSite(CrossSiteFault),
}

impl BrowserRefusal {
    pub fn code(self) -> &'static str {
        match self {
            Self::LoginRequired { .. } => "login_required",
            Self::LoginFailed { .. } => "login_failed",
            Self::CrossSite(_) => "csrf_failed",
        }
    }

    /// What the client is told.
    pub fn text(self) -> &'static str {
        match self {
            Self::LoginRequired { .. } => "a login is required",
            Self::LoginFailed { .. } => "the login did not succeed; begin it once more",
            Self::CrossSite(_) => "this request must come from a page of this origin",
        }
    }
}

impl From<CrossSiteFault> for super::Refusal {
    fn from(fault: CrossSiteFault) -> Self {
        Self::Browser(BrowserRefusal::CrossSite(fault))
    }
}

/// Why a browser is back from its provider and nobody is logged in. For the record only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoginFault {
    /// No login of this browser has this state: it was planted, replayed, or took too long.
    UnknownState,
    /// The user or the provider has said no.
    Denied,
    NoCode,
    RefusedCode,
    BadToken,
    NoName,
}

impl LoginFault {
    pub fn text(self) -> &'static str {
        match self {
            Self::UnknownState => "this browser has begun no such login, or too long ago",
            Self::Denied => "the provider did not let the user in",
            Self::NoCode => "the provider sent no code",
            Self::RefusedCode => "the provider does not take its code",
            Self::BadToken => "what the provider says is not to be believed",
            Self::NoName => "the user has no name that can be passed on",
        }
    }
}

/// Why a request that a browser vouches for may be the work of another site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CrossSiteFault {
    OtherSite,
    OtherOrigin,
    NoOrigin,
    NoToken,
    WrongToken,
}

impl CrossSiteFault {
    pub fn text(self) -> &'static str {
        match self {
            Self::OtherSite => "the browser says that another site made the request",
            Self::OtherOrigin => "the Origin is another one",
            Self::NoOrigin => "neither Sec-Fetch-Site nor Origin says where the request comes from",
            Self::NoToken => "the token of the session was not sent in its header",
            Self::WrongToken => "the token in the header is not that of the session",
        }
    }
}
