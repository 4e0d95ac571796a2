//! Shed: can the node take one more request of this priority?
//! Takes the requests in flight, the pressure on the node, the route's priority. Gives an `Admission` that counts
//! until it is dropped. Refuses with `Overloaded`.

mod average;
mod load;
mod pressure;
mod settings;

pub use average::Average;
pub use load::{Admission, Load};
pub use pressure::{Level, Pressure, Watch};
pub use settings::{Limits, Settings};

use std::sync::Arc;

use crate::refusal::{Reason, Refusal, Shortage};
use crate::snapshot::document::Priority;

/// Admits a request unless the node is short of something that requests of its priority have to leave to others.
pub fn admit(load: &Arc<Load>, settings: &Settings, priority: Priority) -> Result<Admission, Refusal> {
    let pressure = load.pressure();
    if pressure.refuses(priority) {
        return Err(refuse(load, settings, settings.shortage(pressure, priority)));
    }
    let (admission, before) = Admission::count(load);
    let room = settings.room(priority);
    if before >= room {
        let shortage = Shortage { reason: Reason::InFlight, value: before, threshold: room, resumes: room };
        return Err(refuse(load, settings, shortage));
    }
    Ok(admission)
}

fn refuse(load: &Load, settings: &Settings, shortage: Shortage) -> Refusal {
    Refusal::Overloaded { shortage, retry_after: load.spread(settings.retry_after) }
}

#[cfg(test)]
mod tests;
