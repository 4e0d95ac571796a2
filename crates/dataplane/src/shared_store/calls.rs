//! What is said to the store: the script about the tiers of a request, and a sign of life. Over the node's own connection,
//! or over that of the library where it finds the server: in a cluster, and behind TLS.

use std::sync::LazyLock;
use std::time::Instant;

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use redis::{Cmd, ErrorKind, RedisError, ServerErrorKind};
use tokio::time::timeout_at;

use super::client::Trouble;
use super::join;
use super::link::{Foreign, Link};
use super::wire::{Failure, Script, Wire};
use crate::limit::{Line, SCRIPT, Told, ToldOfAll};

/// Tells that this node is there, and gives how many are. Those that say nothing for ten seconds are forgotten.
const HEARTBEAT: &str = "
local now = tonumber(redis.call('TIME')[1])
redis.call('ZADD', KEYS[1], now, ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - 10)
redis.call('EXPIRE', KEYS[1], 60)
return redis.call('ZCARD', KEYS[1])";
const NODES: &str = "rate-nodes";

/// By which Redis knows the script.
static NAME: LazyLock<String> = LazyLock::new(|| {
    let digest = digest(&SHA1_FOR_LEGACY_USE_ONLY, SCRIPT.as_bytes());
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
});

/// Why a call has no answer.
pub(super) struct Fault {
    pub(super) trouble: Trouble,
    /// For an operator; `None` where it says no more than the trouble.
    pub(super) words: Option<String>,
    /// Another connection may do better.
    pub(super) is_lost: bool,
}

impl Fault {
    fn late() -> Self {
        Self { trouble: Trouble::Late, words: None, is_lost: false }
    }

    fn strange() -> Self {
        let words = Some("the script has answered something else".to_owned());
        Self { trouble: Trouble::Answer, words, is_lost: false }
    }
}

impl From<Failure> for Fault {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Late => Self::late(),
            Failure::Full => Self { trouble: Trouble::Full, words: None, is_lost: false },
            Failure::Lost(why) => {
                Self { trouble: Trouble::Connection, words: Some(why.to_string()), is_lost: true }
            }
            Failure::Refused(words) => {
                Self { trouble: Trouble::Answer, is_lost: is_demotion(&words), words: Some(words) }
            }
        }
    }
}

impl From<RedisError> for Fault {
    fn from(error: RedisError) -> Self {
        let is_lost = error.is_unrecoverable_error();
        let trouble = if is_lost { Trouble::Connection } else { Trouble::Answer };
        Self { trouble, words: Some(error.to_string()), is_lost: is_lost || is_demoted(&error) }
    }
}

/// The server has moved on to another part: nothing can be written there.
fn is_demotion(words: &str) -> bool {
    ["READONLY", "MASTERDOWN", "LOADING"].iter().any(|word| words.starts_with(word))
}

fn is_demoted(error: &RedisError) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Server(
            ServerErrorKind::ReadOnly | ServerErrorKind::MasterDown | ServerErrorKind::BusyLoading
        )
    )
}

/// Asks about all lines at once: one answer for each, or none for any.
pub(super) async fn charge(link: Link, lines: &[Line], deadline: Instant) -> Result<ToldOfAll, Fault> {
    match link {
        Link::Own(wire) => charge_on(&wire, lines, deadline).await,
        Link::Foreign(foreign) => {
            let asked = charge_by(foreign, lines);
            timeout_at(deadline.into(), asked).await.unwrap_or_else(|_| Err(Fault::late()))
        }
    }
}

/// A sign of life of this node: gives how many there are.
pub(super) async fn beat(link: Link, id: &str, deadline: Instant) -> Result<u32, Fault> {
    let nodes = match link {
        Link::Own(wire) => {
            let words = ["EVAL", HEARTBEAT, "1", NODES, id].map(str::as_bytes);
            let numbers = wire.say(&words, deadline).await?;
            numbers.first().copied().unwrap_or(0)
        }
        Link::Foreign(mut foreign) => {
            let command = heartbeat(id);
            let answer = timeout_at(deadline.into(), foreign.call(&command)).await;
            redis::from_redis_value(answer.map_err(|_| Fault::late())??).map_err(|_| Fault::strange())?
        }
    };
    Ok(u32::try_from(nodes).unwrap_or(0))
}

/// A server that does not know the script, having been started anew, is told it in passing.
pub(super) async fn charge_on(wire: &Wire, lines: &[Line], deadline: Instant) -> Result<ToldOfAll, Fault> {
    let answer = wire.call(Script::Named(&NAME), lines.iter(), deadline).await;
    let numbers = match answer {
        Err(Failure::Refused(words)) if words.starts_with("NOSCRIPT") => {
            // Behind others that have asked later, so that the deadline is its own.
            let again = timeout_at(deadline.into(), wire.call(Script::Whole, lines.iter(), deadline));
            // On the heap, so that requests which do not need it carry nothing of it about.
            Box::pin(again).await.map_err(|_| Fault::late())??
        }
        answer => answer?,
    };
    told(&numbers, lines.len()).ok_or_else(Fault::strange)
}

/// What is on one server of a cluster, whatever it has, is decided together.
async fn charge_by(foreign: Foreign, lines: &[Line]) -> Result<ToldOfAll, Fault> {
    let groups = if foreign.is_cluster() { by_server(lines) } else { vec![(0..lines.len()).collect()] };
    let calls = groups.iter().map(|group| {
        let lines: Vec<&Line> = group.iter().filter_map(|place| lines.get(*place)).collect();
        charge_group(foreign.clone(), lines)
    });
    let answers = join::all(calls).await?;
    let mut told = ToldOfAll::from_elem(Told::default(), lines.len());
    for (group, answer) in groups.iter().zip(answers) {
        for (place, one) in group.iter().zip(answer) {
            if let Some(place) = told.get_mut(*place) {
                *place = one;
            }
        }
    }
    Ok(told)
}

/// Which lines can be decided together, as they are on one server of a cluster whatever it has.
fn by_server(lines: &[Line]) -> Vec<Vec<usize>> {
    let mut groups: Vec<(&str, Vec<usize>)> = Vec::new();
    for (place, line) in lines.iter().enumerate() {
        match groups.iter_mut().find(|(tag, _)| *tag == line.tag()) {
            Some((_, group)) => group.push(place),
            None => groups.push((line.tag(), vec![place])),
        }
    }
    groups.into_iter().map(|(_, group)| group).collect()
}

async fn charge_group(mut foreign: Foreign, lines: Vec<&Line>) -> Result<ToldOfAll, Fault> {
    let answer = match foreign.call(&command("EVALSHA", &NAME, &lines)).await {
        Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
            foreign.call(&command("EVAL", SCRIPT, &lines)).await?
        }
        answer => answer?,
    };
    let numbers: Vec<i64> = redis::from_redis_value(answer).map_err(|_| Fault::strange())?;
    told(&numbers, lines.len()).ok_or_else(Fault::strange)
}

fn told(numbers: &[i64], lines: usize) -> Option<ToldOfAll> {
    let told: Option<ToldOfAll> = numbers.chunks(Told::WIDTH).map(Told::read).collect();
    told.filter(|told| told.len() == lines)
}

fn heartbeat(id: &str) -> Cmd {
    let mut command = redis::cmd("EVAL");
    command.arg(HEARTBEAT).arg(1).arg(NODES).arg(id);
    command
}

fn command(word: &str, script: &str, lines: &[&Line]) -> Cmd {
    let mut command = redis::cmd(word);
    command.arg(script).arg(lines.len());
    for line in lines {
        command.arg(&line.key);
    }
    // The clock is the server's, so that those of the nodes do not matter.
    command.arg(0);
    for line in lines {
        command.arg(line.kind).arg(line.limit).arg(line.window).arg(line.room).arg(line.needed);
        command.arg(line.charged).arg(line.block).arg(line.mode as u8);
        command.arg(line.period.0).arg(line.period.1);
    }
    command
}
