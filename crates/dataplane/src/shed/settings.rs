//! When the node refuses what, as configured.

use std::time::Duration;

use super::concurrency::Bounds;
use super::pressure::{Level, Pressure};
use super::thresholds::{NEVER, Thresholds};
use crate::refusal::{Reason, Shortage};
use crate::snapshot::document::{ConcurrencyDocument, OverloadDocument, Priority};

/// What the average and the hold are where nothing is shed by processor time.
const WINDOW: Duration = Duration::from_secs(10);

#[derive(Clone, Debug)]
pub struct Settings {
    pub max_in_flight: u32,
    pub cpu: Thresholds,
    pub memory: Thresholds,
    /// What the node may have resident; `None`: what the machine or its control group allows.
    pub memory_limit: Option<u64>,
    /// Time over which the use of the processor is averaged, and how long a level lasts at least.
    pub window: Duration,
    /// `None`: services have no limits that adapt.
    pub concurrency: Option<Bounds>,
    /// The least that a refused client is told to wait; the most is twice this.
    pub retry_after: Duration,
}

fn bounds(document: &ConcurrencyDocument) -> Bounds {
    Bounds { minimum: document.minimum, maximum: document.maximum, tolerance: document.tolerance }
}

impl Settings {
    /// Without a section nothing is shed but what is over the maximum in flight.
    pub fn compile(document: Option<&OverloadDocument>, max_in_flight: u32) -> Self {
        let margin = document.map_or(0, |overload| overload.margin);
        let cpu = document.and_then(|overload| overload.cpu.as_ref());
        let memory = document.and_then(|overload| overload.memory.as_ref());
        let off = Thresholds { percents: [NEVER; 4], margin };
        Self {
            max_in_flight,
            cpu: cpu.map_or(off, |cpu| Thresholds { percents: [NEVER, cpu.p1, cpu.p2, cpu.p3], margin }),
            memory: memory.map_or(off, |memory| {
                let (low, all) = (memory.low, memory.all);
                Thresholds { percents: [all, all, low, low], margin }
            }),
            memory_limit: memory.and_then(|memory| memory.limit_bytes),
            window: cpu.map_or(WINDOW, |cpu| Duration::from_millis(cpu.window_ms)),
            concurrency: document.and_then(|overload| overload.concurrency.as_ref()).map(bounds),
            retry_after: Duration::from_millis(document.map_or(1_000, |overload| overload.retry_after_ms)),
        }
    }

    /// Why a priority that the pressure refuses is refused. Memory goes first: it is the shortage that kills a node.
    pub(super) fn shortage(&self, pressure: Pressure, priority: Priority) -> Shortage {
        let (reason, level, thresholds) = if pressure.memory.refuses(priority) {
            (Reason::Memory, pressure.memory, &self.memory)
        } else {
            (Reason::Cpu, pressure.cpu, &self.cpu)
        };
        let threshold = thresholds.of(priority);
        Shortage {
            reason,
            value: u32::from(level.percent),
            threshold: u32::from(threshold),
            resumes: u32::from(threshold.saturating_sub(thresholds.margin)),
        }
    }

    /// The pressure when these uses are the first that anybody sees: no level lasts from before.
    pub fn pressure_at(&self, cpu: u16, memory: u16) -> Pressure {
        let level =
            |percent, thresholds: &Thresholds| Level { percent, refused: thresholds.refused_at(percent) };
        Pressure { cpu: level(cpu, &self.cpu), memory: level(memory, &self.memory) }
    }
}

/// How many of `maximum` requests may be in flight before one of this priority is refused: P0 has all of it, and the
/// others leave room for whoever matters more (OV-1's steps, taken of the in-flight maximum of OV-4).
pub fn share(maximum: u32, priority: Priority) -> u32 {
    let percent: u64 = match priority {
        Priority::P0 => 100,
        Priority::P1 => 90,
        Priority::P2 => 75,
        Priority::P3 => 60,
    };
    // Never more than the maximum, so it fits again.
    (u64::from(maximum) * percent).div_ceil(100) as u32
}
