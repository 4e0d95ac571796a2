//! The other end is the test itself, on a pair of sockets.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::runtime::Builder;
use tokio::task::yield_now;

use super::reply::Numbers;
use super::{Failure, Pending, Wire};

const MOST: usize = 8;

struct World {
    wire: Wire,
    server: UnixStream,
}

impl World {
    /// Its deadline passes by the clock of the runtime, which stands still but for waiting.
    fn run(test: impl AsyncFnOnce(&mut World)) {
        let runtime = Builder::new_current_thread().enable_all().build_local(Default::default()).unwrap();
        runtime.block_on(async {
            let (near, server) = UnixStream::pair().unwrap();
            test(&mut World { wire: Wire::new(near.into(), MOST), server }).await;
        });
    }

    fn say(&self, word: &str) -> Pending {
        self.wire.say(&[word.as_bytes()], Instant::now() + Duration::from_secs(60))
    }

    /// What one read gives: all that was written at once.
    async fn heard(&mut self) -> String {
        let mut room = [0; 4096];
        let length = self.server.read(&mut room).await.unwrap();
        String::from_utf8_lossy(&room[..length]).into_owned()
    }

    async fn answer(&mut self, text: &str) {
        self.server.write_all(text.as_bytes()).await.unwrap();
    }
}

fn words(all: &[&str]) -> String {
    all.iter().map(|word| format!("*1\r\n${}\r\n{word}\r\n", word.len())).collect()
}

fn numbers(all: &[i64]) -> Result<Numbers, Failure> {
    Ok(all.into())
}

#[test]
fn what_is_asked_in_one_turn_is_written_at_once_and_answers_go_to_who_has_asked() {
    World::run(async |world| {
        let (one, two, three) = (world.say("one"), world.say("two"), world.say("three"));
        assert_eq!(world.heard().await, words(&["one", "two", "three"]));
        world.answer(":1\r\n*2\r\n:2\r\n:-2\r\n-NO way\r\n").await;
        assert_eq!(two.await, numbers(&[2, -2]));
        assert_eq!(one.await, numbers(&[1]));
        assert_eq!(three.await, Err(Failure::Refused("NO way".to_owned())));
    });
}

#[test]
fn an_answer_in_pieces_is_one_answer() {
    World::run(async |world| {
        let (one, two) = (world.say("one"), world.say("two"));
        world.heard().await;
        for piece in ["*2\r", "\n:1\r\n:4", "2\r\n+O", "K\r\n"] {
            world.answer(piece).await;
            yield_now().await;
        }
        assert_eq!(one.await, numbers(&[1, 42]));
        assert_eq!(two.await, numbers(&[]));
    });
}

#[test]
fn who_has_gone_leaves_his_answer_to_nobody() {
    World::run(async |world| {
        let (gone, stays) = (world.say("gone"), world.say("stays"));
        world.heard().await;
        drop(gone);
        // It gets no place whose answer is still to come.
        let next = world.say("next");
        world.answer(":1\r\n:2\r\n").await;
        assert_eq!(stays.await, numbers(&[2]));
        assert_eq!(world.heard().await, words(&["next"]));
        world.answer(":3\r\n").await;
        assert_eq!(next.await, numbers(&[3]));
    });
}

#[test]
fn who_waits_too_long_is_told_and_the_late_answer_is_nobodys() {
    World::run(async |world| {
        let soon = Instant::now() + Duration::from_millis(5);
        let late = world.wire.say(&[b"late"], soon);
        let patient = world.say("patient");
        assert_eq!(late.await, Err(Failure::Late));
        world.answer(":1\r\n:2\r\n").await;
        assert_eq!(patient.await, numbers(&[2]));
    });
}

#[test]
fn no_more_is_asked_than_may_be() {
    World::run(async |world| {
        let mut asked: Vec<Pending> = (0..MOST).map(|_| world.say("x")).collect();
        assert_eq!(world.say("more").await, Err(Failure::Full));
        world.heard().await;
        world.answer(":1\r\n").await;
        assert_eq!(asked.remove(0).await, numbers(&[1]));
        let more = world.say("more");
        drop(asked);
        world.answer(&":2\r\n".repeat(MOST)).await;
        assert_eq!(more.await, numbers(&[2]));
    });
}

#[test]
fn the_end_of_a_connection_is_told_to_all_and_to_who_comes_later() {
    let ends: [(&str, &str); 3] = [
        ("", "the server has closed the connection"),
        ("$1\r\n", "the server speaks another language"),
        (":1\r\n:2\r\n:3\r\n", "the server answers what nobody has asked"),
    ];
    for (text, why) in ends {
        World::run(async |world| {
            let (_one, two) = (world.say("one"), world.say("two"));
            world.heard().await;
            world.answer(text).await;
            if text.is_empty() {
                world.server.shutdown().await.unwrap();
            }
            let lost = Err(Failure::Lost(why.into()));
            if text.starts_with(':') {
                assert_eq!(two.await, numbers(&[2]))
            } else {
                assert_eq!(two.await, lost)
            }
            assert!(world.wire.is_ended());
            assert_eq!(world.say("three").await, lost);
        });
    }
}

#[test]
fn a_dropped_connection_closes_once_nobody_waits() {
    World::run(async |world| {
        let (near, server) = UnixStream::pair().unwrap();
        let old = std::mem::replace(world, World { wire: Wire::new(near.into(), MOST), server });
        let World { wire, server } = old;
        let mut old = World { wire: Wire::new(UnixStream::pair().unwrap().0.into(), MOST), server };
        let asked = wire.say(&[b"last"], Instant::now() + Duration::from_secs(60));
        drop(wire);
        assert_eq!(old.heard().await, words(&["last"]));
        old.answer(":9\r\n").await;
        assert_eq!(asked.await, numbers(&[9]));
        assert_eq!(old.heard().await, "");
    });
}
