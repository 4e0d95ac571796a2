use std::sync::Arc;
use std::time::{Duration, Instant};

use super::*;
use crate::snapshot::document::{CpuDocument, MemoryDocument, OverloadDocument};

const ALL: [Priority; 4] = [Priority::P0, Priority::P1, Priority::P2, Priority::P3];
const HOLD: Duration = Duration::from_secs(10);

fn settings(max_in_flight: u32) -> Settings {
    let document = OverloadDocument {
        cpu: Some(CpuDocument { p1: 90, p2: 75, p3: 60, window_ms: 10_000 }),
        memory: Some(MemoryDocument { low: 80, all: 95, limit_bytes: None }),
        concurrency: None,
        margin: 5,
        retry_after_ms: 5_000,
    };
    Settings::compile(Some(&document), max_in_flight)
}

/// The priorities that are served.
fn served(cpu: u16, memory: u16) -> Vec<Priority> {
    let settings = settings(100);
    let load = Arc::new(Load::stated(settings.pressure_at(cpu, memory), 0));
    ALL.into_iter().filter(|priority| admit(&load, &settings, *priority, None).is_ok()).collect()
}

#[test]
fn the_less_a_route_matters_the_less_of_the_processor_it_may_find_used() {
    for (cpu, count) in [(0, 4), (60, 4), (61, 3), (75, 3), (76, 2), (90, 2), (91, 1), (100, 1)] {
        assert_eq!(served(cpu, 0), ALL[..count], "{cpu} %");
    }
}

#[test]
fn memory_refuses_the_low_priorities_first_and_then_everything() {
    for (memory, count) in [(80, 4), (81, 2), (95, 2), (96, 0)] {
        assert_eq!(served(0, memory), ALL[..count], "{memory} %");
    }
}

#[test]
fn without_settings_only_the_requests_in_flight_count() {
    let settings = Settings::compile(None, 10);
    assert_eq!(
        settings.pressure_at(10_000, 10_000),
        Pressure {
            cpu: Level { percent: 10_000, refused: 0 },
            memory: Level { percent: 10_000, refused: 0 },
        }
    );
}

#[test]
fn a_refusal_tells_what_was_short_and_when_it_ends() {
    let settings = settings(10);
    let refusal = |cpu, memory, in_flight| {
        let load = Arc::new(Load::stated(settings.pressure_at(cpu, memory), in_flight));
        match admit(&load, &settings, Priority::P2, None) {
            Err(Refusal::Overloaded { shortage, .. }) => shortage,
            other => panic!("{other:?}"),
        }
    };
    let told = |reason, value, threshold, resumes| Shortage { reason, value, threshold, resumes };
    assert_eq!(refusal(76, 0, 0), told(Reason::Cpu, 76, 75, 70));
    assert_eq!(refusal(76, 81, 0), told(Reason::Memory, 81, 80, 75));
    assert_eq!(refusal(0, 0, 8), told(Reason::InFlight, 8, 8, 8));
}

#[test]
fn clients_that_are_refused_together_are_told_to_come_back_apart() {
    let settings = settings(0);
    let load = Arc::new(Load::default());
    let mut waits: Vec<u64> = (0..100)
        .map(|_| match admit(&load, &settings, Priority::P0, None) {
            Err(Refusal::Overloaded { retry_after, .. }) => retry_after.as_millis() as u64,
            other => panic!("{other:?}"),
        })
        .collect();
    waits.sort_unstable();
    assert!(waits[0] >= 5_000 && waits[99] <= 10_000, "{waits:?}");
    let gap = waits.windows(2).map(|pair| pair[1] - pair[0]).max();
    assert!(gap < Some(200), "a tenth of them would come in one of ten seconds: {gap:?}");
}

#[test]
fn a_level_rises_at_once_and_falls_one_priority_at_a_time() {
    let (settings, begin) = (settings(10), Instant::now());
    let mut watch = Watch::new(begin);
    let mut refused = |seconds: u64, percent| {
        watch.observe(percent, &settings.cpu, HOLD, begin + Duration::from_secs(seconds)).refused
    };
    assert_eq!(refused(0, 60), 0);
    assert_eq!(refused(1, 95), 3);
    assert_eq!(refused(2, 10), 3, "the level has only begun");
    assert_eq!(refused(11, 10), 2, "P1 comes back first");
    assert_eq!(refused(20, 10), 2);
    assert_eq!(refused(21, 71), 2, "P2's threshold is 75, and its margin 5");
    assert_eq!(refused(22, 70), 1);
    assert_eq!(refused(40, 56), 1);
    assert_eq!(refused(41, 55), 0);
}

#[test]
fn a_use_that_swings_around_a_threshold_changes_nothing() {
    let (settings, begin) = (settings(10), Instant::now());
    let mut watch = Watch::new(begin);
    for second in 0..1_000 {
        let percent = if second % 2 == 0 { 62 } else { 57 };
        let level = watch.observe(percent, &settings.cpu, HOLD, begin + Duration::from_secs(second));
        assert_eq!(level.refused, 1, "second {second}");
    }
}

#[test]
fn a_level_that_falls_rises_again_without_waiting() {
    let (settings, begin) = (settings(10), Instant::now());
    let mut watch = Watch::new(begin);
    let mut refused = |seconds: u64, percent| {
        watch.observe(percent, &settings.memory, HOLD, begin + Duration::from_secs(seconds)).refused
    };
    assert_eq!(refused(1, 99), 4);
    assert_eq!(refused(11, 70), 3);
    assert_eq!(refused(12, 96), 4);
}

#[test]
fn a_pressure_survives_its_word() {
    let pressure =
        Pressure { cpu: Level { percent: 76, refused: 2 }, memory: Level { percent: u16::MAX, refused: 4 } };
    let load = Load::stated(pressure, 3);
    assert_eq!((load.pressure(), load.in_flight()), (pressure, 3));
}

#[test]
fn an_average_covers_the_window_and_what_was_before_counts_as_idle() {
    let (begin, mut average) = (Instant::now(), Average::default());
    let mut at = |seconds: u64, used: u64| {
        average.observe(Duration::from_secs(used), HOLD, begin + Duration::from_secs(seconds))
    };
    assert_eq!(at(0, 100), 0);
    assert_eq!(at(1, 102), 200, "two processors for one second of ten");
    assert_eq!(at(10, 102), 200);
    assert_eq!(at(11, 102), 0);
    // A reading that came late is one over a longer time.
    assert_eq!(at(51, 142), 1_000);
}

#[test]
fn the_less_a_route_matters_the_earlier_it_is_refused() {
    let (load, settings) = (Arc::new(Load::default()), settings(10));
    let mut under_way = Vec::new();
    for (priority, room) in [(Priority::P3, 6), (Priority::P2, 8), (Priority::P1, 9), (Priority::P0, 10)] {
        while let Ok(admission) = admit(&load, &settings, priority, None) {
            under_way.push(admission);
        }
        assert_eq!(under_way.len(), room, "{priority:?}");
    }
}

#[test]
fn the_request_over_the_maximum_is_refused_until_another_ends() {
    let (load, settings) = (Arc::new(Load::default()), settings(1));
    let first = admit(&load, &settings, Priority::P1, None);
    assert!(first.is_ok());
    assert!(matches!(admit(&load, &settings, Priority::P1, None), Err(Refusal::Overloaded { .. })));
    assert_eq!(load.in_flight(), 1);
    drop(first);
    assert!(admit(&load, &settings, Priority::P1, None).is_ok());
    assert_eq!(load.in_flight(), 0);
}

#[test]
fn a_service_that_has_its_limit_is_asked_for_what_matters_only() {
    let (load, settings) = (Arc::new(Load::default()), settings(1_000));
    let concurrency = Arc::new(Concurrency::default());
    let ask = |priority| admit(&load, &settings, priority, Some(&concurrency));
    let first: Vec<_> = (0..100).map(|_| ask(Priority::P3)).collect();
    assert!(first.iter().all(Result::is_ok), "nothing is known yet");
    drop(first);
    concurrency.observe(1_000);
    concurrency.adapt(&Bounds { minimum: 10, maximum: 10, tolerance: 1.5 });
    let mut under_way = Vec::new();
    for (priority, room) in [(Priority::P3, 6), (Priority::P2, 8), (Priority::P1, 9), (Priority::P0, 10)] {
        while let Ok(admission) = ask(priority) {
            under_way.push(admission);
        }
        assert_eq!(under_way.len(), room, "{priority:?}");
    }
    let Err(Refusal::Overloaded { shortage, .. }) = ask(Priority::P3) else { panic!("admitted") };
    assert_eq!((shortage.reason, shortage.value, shortage.threshold), (Reason::Concurrency, 10, 6));
    assert!(admit(&load, &settings, Priority::P3, None).is_ok(), "other services have room");
    drop(under_way);
    assert_eq!((load.in_flight(), concurrency.now()), (0, (0, Some(10))));
}
