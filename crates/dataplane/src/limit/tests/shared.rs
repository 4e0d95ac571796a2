//! The script in the store against the algorithms of this crate: the same schedule, the same answers.

use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use proptest::prelude::*;
use redis::Connection;

use super::*;
use crate::limit::algorithm::State;
use crate::limit::reading::Reading;
use crate::limit::rule::{Algorithm, Period, Rule};
use crate::limit::shared::{Mode, SCRIPT};

/// A server of this test's own, at a socket in a directory of its own.
struct Server {
    process: Child,
    directory: std::path::PathBuf,
}

impl Server {
    fn start() -> Option<Self> {
        static STARTED: AtomicU32 = AtomicU32::new(0);
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let name = format!("gatewright-script-{}-{number}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&directory).unwrap();
        let mut command = Command::new("redis-server");
        command.args(["--port", "0", "--save", "", "--daemonize", "no", "--unixsocket"]);
        command.arg(directory.join("redis.sock")).current_dir(&directory);
        match command.stdout(Stdio::null()).stderr(Stdio::null()).spawn() {
            Ok(process) => Some(Self { process, directory }),
            Err(_) => {
                // As everywhere: skipped where it is not installed, and a failure where it must be.
                assert_ne!(std::env::var("CI").ok().as_deref(), Some("true"), "redis-server is missing");
                None
            }
        }
    }

    fn connect(&self) -> Connection {
        let client = redis::Client::open(format!("unix://{}/redis.sock", self.directory.display())).unwrap();
        let end = Instant::now() + Duration::from_secs(20);
        loop {
            match client.get_connection() {
                Ok(connection) => return connection,
                Err(error) => assert!(Instant::now() < end, "{error}"),
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// Dropped at the end of a test, so that the server does not outlive it.
struct Store {
    connection: Mutex<Connection>,
    _server: Server,
}

impl Store {
    fn open() -> Option<Self> {
        let server = Server::start()?;
        let connection = Mutex::new(server.connect());
        Some(Self { connection, _server: server })
    }

    fn call(&self, lines: &[Line], now_ms: u64) -> Vec<Told> {
        let mut command = redis::cmd("EVAL");
        command.arg(SCRIPT).arg(lines.len());
        for line in lines {
            command.arg(&line.key);
        }
        command.arg(now_ms);
        for line in lines {
            command.arg(line.kind).arg(line.limit).arg(line.window).arg(line.room).arg(line.needed);
            command.arg(line.charged).arg(line.block).arg(line.mode as u8);
            command.arg(line.period.0).arg(line.period.1);
        }
        let numbers: Vec<i64> = command.query(&mut *self.connection.lock().unwrap()).unwrap();
        numbers.chunks(Told::WIDTH).map(|numbers| Told::read(numbers).unwrap()).collect()
    }

    fn forget(&self) {
        redis::cmd("FLUSHALL").exec(&mut *self.connection.lock().unwrap()).unwrap();
    }
}

#[derive(Clone, Debug)]
struct Step {
    after_ms: u64,
    cost: u64,
    rule: Rule,
}

fn rules() -> impl Strategy<Value = Rule> {
    let algorithm = prop_oneof![
        Just(Algorithm::SlidingWindow),
        Just(Algorithm::FixedWindow),
        Just(Algorithm::Bucket),
        Just(Algorithm::Leaky),
        Just(Algorithm::Quota),
    ];
    let numbers =
        (1_u64..12, prop_oneof![Just(1_000_u64), Just(7_919), Just(60_000)], 1_u64..8, 10_u64..5_000);
    (algorithm, numbers).prop_map(|(algorithm, (limit, window_ms, burst, delay))| {
        let rule = Rule { algorithm, limit, window_ms, burst: 0, max_delay_ms: 0, period: None };
        match algorithm {
            Algorithm::Bucket => Rule { burst, ..rule },
            Algorithm::Leaky => Rule { max_delay_ms: delay, ..rule },
            Algorithm::Quota => Rule { window_ms: 86_400_000, ..rule },
            Algorithm::SlidingWindow
            | Algorithm::FixedWindow
            | Algorithm::SlidingLog
            | Algorithm::Concurrency
            | Algorithm::Lease => rule,
        }
    })
}

/// Mostly one rule, which is changed now and then.
fn schedules() -> impl Strategy<Value = Vec<Step>> {
    let step = (prop_oneof![3 => 0_u64..400, 1 => 0_u64..70_000], 0_u64..4);
    let part = (rules(), prop::collection::vec(step, 1..25));
    prop::collection::vec(part, 1..4).prop_map(|parts| {
        let steps = |(rule, steps): (Rule, Vec<(u64, u64)>)| {
            steps.into_iter().map(move |(after_ms, cost)| Step { after_ms, cost, rule })
        };
        parts.into_iter().flat_map(steps).collect()
    })
}

/// A day of a minute, so that a schedule sees several.
fn at(mut rule: Rule, now_ms: u64) -> Rule {
    if rule.algorithm == Algorithm::Quota {
        let index = now_ms / 60_000;
        rule.period = Some(Period { index, end_ms: (index + 1) * 60_000 });
    }
    rule
}

/// One caller in one tier, as a node keeps it; but like the script it writes down only what it charges or carries over. Of
/// one rule that is the same. Where the rule changes, what has flowed off since the last charge does so at the new rate.
#[derive(Default)]
struct Local {
    state: Option<(u64, State)>,
}

impl Local {
    fn ask(&mut self, rule: &Rule, now_ms: u64, cost: Cost) -> Reading {
        let (window_ms, mut state) =
            self.state.clone().unwrap_or((rule.window_ms, State::fresh(rule, now_ms)));
        let is_carried = window_ms != rule.window_ms || !state.fits(rule);
        if is_carried {
            state = state.carried(window_ms, rule, now_ms);
        }
        let reading = state.read(rule, now_ms, cost);
        let is_charged = reading.is_admitted() && cost.charged > 0;
        if is_charged {
            state.charge(rule, now_ms, cost.charged);
        }
        if is_carried || is_charged {
            self.state = Some((rule.window_ms, state));
        }
        reading
    }
}

fn line(rule: &Rule, cost: Cost) -> Line {
    let line = Line::new("rate:{user:ann}:t".to_owned(), rule);
    Line { needed: cost.needed, charged: cost.charged as i64, ..line }
}

#[test]
fn the_script_answers_what_the_algorithms_answer() {
    let Some(store) = Store::open() else { return };
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(300));
    let outcome = runner.run(&schedules(), |schedule| {
        store.forget();
        let (mut local, mut now_ms) = (Local::default(), NOON + 123);
        for step in schedule {
            now_ms += step.after_ms;
            let (rule, cost) = (at(step.rule, now_ms), Cost::of(step.cost));
            let expected = local.ask(&rule, now_ms, cost);
            let told = store.call(&[line(&rule, cost)], now_ms);
            prop_assert_eq!(told[0].reading(&rule), expected, "{:?} at {}", step, now_ms);
        }
        Ok(())
    });
    outcome.unwrap();
}

#[test]
fn where_one_tier_refuses_none_is_charged_and_a_trial_refuses_nobody() {
    let Some(store) = Store::open() else { return };
    let rule = |limit| Rule {
        algorithm: Algorithm::FixedWindow,
        limit,
        window_ms: MINUTE,
        burst: 0,
        max_delay_ms: 0,
        period: None,
    };
    let named = |key: &str, limit| Line { key: key.to_owned(), ..line(&rule(limit), Cost::ONE) };
    let trial = Line { mode: Mode::Trial, ..named("trial", 1) };
    let lines = [named("wide", 5), trial, named("narrow", 2)];
    let passes: Vec<Vec<bool>> =
        (0..4).map(|_| store.call(&lines, NOON).iter().map(|told| told.passes).collect()).collect();
    assert_eq!(passes, [[true, true, true], [true, false, true], [true, false, false], [true, false, false]]);
    assert_eq!(store.call(&[named("wide", 5)], NOON)[0].remaining, 2);
}

#[test]
fn a_block_is_as_much_as_there_is_and_what_is_given_back_is_there_again() {
    let Some(store) = Store::open() else { return };
    for algorithm in [Algorithm::FixedWindow, Algorithm::SlidingWindow, Algorithm::Bucket] {
        store.forget();
        let rule = Rule { algorithm, limit: 10, window_ms: MINUTE, burst: 10, max_delay_ms: 0, period: None };
        let block = Line { block: 4, ..line(&rule, Cost::ONE) };
        let taken: Vec<u64> =
            (0..4).map(|_| store.call(std::slice::from_ref(&block), NOON)[0].charged).collect();
        assert_eq!(taken, [4, 4, 2, 0], "{algorithm:?}");
        let back = Line { mode: Mode::Forced, charged: -3, needed: 0, ..line(&rule, Cost::ONE) };
        store.call(&[back], NOON);
        assert_eq!(store.call(std::slice::from_ref(&block), NOON)[0].charged, 3, "{algorithm:?}");
    }
}

#[test]
fn what_is_not_ours_under_our_name_counts_nothing() {
    let Some(store) = Store::open() else { return };
    let rule = Rule {
        algorithm: Algorithm::Bucket,
        limit: 5,
        window_ms: MINUTE,
        burst: 5,
        max_delay_ms: 0,
        period: None,
    };
    for garbage in [
        redis::cmd("SET").arg("k").arg("b:0:1:2:x").clone(),
        redis::cmd("SET").arg("k").arg("b:0:1:2:3").clone(),
        redis::cmd("RPUSH").arg("k").arg("b").clone(),
    ] {
        store.forget();
        garbage.exec(&mut *store.connection.lock().unwrap()).unwrap();
        let asked = Line { key: "k".to_owned(), ..line(&rule, Cost::ONE) };
        let told = store.call(&[asked.clone(), asked], NOON);
        assert!(told[0].passes, "{told:?}");
    }
}

#[test]
fn a_clock_that_jumps_lets_no_more_pass_than_one_more_limit() {
    let Some(store) = Store::open() else { return };
    for algorithm in [Algorithm::FixedWindow, Algorithm::SlidingWindow, Algorithm::Bucket] {
        let rule = Rule { algorithm, limit: 10, window_ms: MINUTE, burst: 10, max_delay_ms: 0, period: None };
        for jump_ms in [1_i64, 30_000, 59_999, 120_000, 86_400_000] {
            store.forget();
            let passed = |now_ms: u64| {
                (0..30).filter(|_| store.call(&[line(&rule, Cost::ONE)], now_ms)[0].passes).count()
            };
            let back = NOON.saturating_add_signed(-jump_ms);
            let all = passed(NOON) + passed(back) + passed(NOON);
            assert!(all <= if jump_ms <= MINUTE as i64 { 10 } else { 30 }, "{algorithm:?} {jump_ms}: {all}");
        }
    }
}
