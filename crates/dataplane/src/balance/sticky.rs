//! Stickiness: which instance the client's cookie asks for, and what became of that.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::ask::Ask;
use super::instance::Instance;
use super::roster::Roster;
use super::standing::Standing;
use super::terms::Terms;
use crate::snapshot::document::StickyDocument;

/// What became of the client's cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bond {
    /// The service has no stickiness.
    None,
    /// The client came with the cookie, and meets its instance.
    Kept,
    /// Its instance may not be asked, or is gone.
    Moved,
    /// It had no cookie.
    New,
}

impl Bond {
    pub(super) fn wants_cookie(self) -> bool {
        match self {
            Self::Moved | Self::New => true,
            Self::None | Self::Kept => false,
        }
    }

    /// For the trail. Never the token: whoever has it can choose the instance.
    pub(super) fn text(self) -> Option<&'static str> {
        match self {
            Self::None => None,
            Self::Kept => Some("kept"),
            Self::Moved => Some("moved"),
            Self::New => Some("new"),
        }
    }
}

/// The instance that the request's cookie names, if it may be asked.
pub(super) fn find<'r>(
    terms: Terms<'_>,
    roster: &'r Roster,
    ask: &Ask<'_>,
) -> (Option<&'r Arc<Instance>>, Bond) {
    let (Some(settings), Some(pins)) = (&terms.balance.sticky, &roster.members.pins) else {
        return (None, Bond::None);
    };
    let Some(value) = ask.request.cookies(&settings.cookie).next() else { return (None, Bond::New) };
    let place = std::str::from_utf8(value).ok().and_then(|value| pins.place(value));
    let instance = place.and_then(|place| roster.members.instances.get(place as usize));
    let is_in = place.and_then(|place| roster.is_in.get(place as usize)).copied().unwrap_or(false);
    let usable = instance.filter(|instance| is_in || waits(terms, instance, settings, ask.now));
    (usable, if usable.is_some() { Bond::Kept } else { Bond::Moved })
}

/// One that drains keeps its clients for a while, as long as it is well.
fn waits(terms: Terms<'_>, instance: &Instance, settings: &StickyDocument, now: Instant) -> bool {
    let wait = Duration::from_millis(settings.drain_wait_ms);
    let since = instance.draining_since();
    since.is_some_and(|since| now < since + wait) && terms.condition(instance, now) == Standing::Healthy
}

/// The `Set-Cookie` that leads back to an instance.
pub(super) fn cookie_of(roster: &Roster, instance: &Arc<Instance>) -> Option<Arc<[u8]>> {
    roster.members.pins.as_ref()?.cookie(instance)
}
