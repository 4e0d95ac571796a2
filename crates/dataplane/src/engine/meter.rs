//! Measures the node a few times a second and tells the workers how short it is of what.

use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use crate::engine::usage::{Allowance, Usage};
use crate::node::Node;
use crate::shed::{Average, Pressure, Settings, Watch};

const INTERVAL: Duration = Duration::from_millis(250);
/// How long memory has to stay below before a priority is let in again.
const HOLD: Duration = Duration::from_secs(10);

/// Runs until it is dropped.
pub async fn run(node: Arc<Node>) {
    let mut meter = Meter::new(Instant::now());
    let mut interval = tokio::time::interval(INTERVAL);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        meter.measure(&node, Instant::now());
    }
}

struct Meter {
    usage: Usage,
    allowance: Allowance,
    process: Average,
    workers: Average,
    cpu: Watch,
    memory: Watch,
}

impl Meter {
    fn new(now: Instant) -> Self {
        Self {
            usage: Usage::open(),
            allowance: Allowance::read(),
            process: Average::default(),
            workers: Average::default(),
            cpu: Watch::new(now),
            memory: Watch::new(now),
        }
    }

    fn measure(&mut self, node: &Node, now: Instant) {
        let Some(snapshot) = node.snapshot() else { return };
        self.usage.follow(&node.threads.lock().unwrap_or_else(PoisonError::into_inner));
        let settings = &snapshot.overload;
        let cpu = self.cpu_percent(node, settings, now);
        let resident = self.usage.resident().unwrap_or(0);
        let limit = settings.memory_limit.unwrap_or(self.allowance.memory).max(1);
        let memory = percent(resident, limit);
        if let Some(bounds) = &settings.concurrency {
            node.concurrencies.list().iter().for_each(|(_, concurrency)| concurrency.adapt(bounds));
        }
        node.load.set_memory(resident, limit);
        node.load.set_pressure(Pressure {
            cpu: self.cpu.observe(cpu, &settings.cpu, settings.window, now),
            memory: self.memory.observe(memory, &settings.memory, HOLD, now),
        });
    }

    /// The larger of two shares: that of the process in the processors it may use, and that of the workers in theirs,
    /// one each. A single worker can be at its end on a machine that idles.
    fn cpu_percent(&mut self, node: &Node, settings: &Settings, now: Instant) -> u16 {
        let Some(process) = self.usage.process() else { return 0 };
        let process = self.process.observe(process, settings.window, now);
        let workers = self.workers.observe(self.usage.workers(), settings.window, now);
        let of_process = percent(process, self.allowance.processors);
        of_process.max(percent(workers, node.options.workers as u64 * 1_000)).min(100)
    }
}

/// Rounded up, so that a use above a threshold is one that is told to be above it.
fn percent(part: u64, whole: u64) -> u16 {
    u16::try_from(part.saturating_mul(100).div_ceil(whole)).unwrap_or(u16::MAX)
}
