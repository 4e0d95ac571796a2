//! Shed: can the node take one more request of this priority?
//! Takes the requests in flight, the pressure on the node, the route's priority and its service's limit. Gives an `Admission` that counts
//! until it is dropped. Refuses with `Overloaded`.

mod average;
mod concurrency;
mod load;
mod pressure;
mod settings;
mod thresholds;

pub use average::Average;
pub use concurrency::{Bounds, Concurrency};
pub use load::{Admission, Load};
pub use pressure::{Level, Pressure, Watch};
pub use settings::{Settings, share};
pub use thresholds::Thresholds;

use std::sync::Arc;

use crate::refusal::{Reason, Refusal, Shortage};
use crate::snapshot::document::Priority;

/// Admits a request unless the node is short of something that requests of its priority have to leave to others.
pub fn admit(
    load: &Arc<Load>,
    settings: &Settings,
    priority: Priority,
    concurrency: Option<&Arc<Concurrency>>,
) -> Result<Admission, Refusal> {
    let pressure = load.pressure();
    if pressure.refuses(priority) {
        return Err(refuse(load, settings, settings.shortage(pressure, priority)));
    }
    let (mut admission, before) = Admission::count(load);
    let room = share(settings.max_in_flight, priority);
    if before >= room {
        let shortage = Shortage { reason: Reason::InFlight, value: before, threshold: room, resumes: room };
        return Err(refuse(load, settings, shortage));
    }
    if let Some((before, room)) = concurrency.and_then(|concurrency| admission.enter(concurrency, priority))
        && before >= room
    {
        let shortage =
            Shortage { reason: Reason::Concurrency, value: before, threshold: room, resumes: room };
        return Err(refuse(load, settings, shortage));
    }
    Ok(admission)
}

fn refuse(load: &Load, settings: &Settings, shortage: Shortage) -> Refusal {
    Refusal::Overloaded { shortage, retry_after: load.spread(settings.retry_after) }
}

#[cfg(test)]
mod tests;
