//! Speed, on demand: `cargo test -p dataplane --lib balance::tests::timing -- --ignored --nocapture`, optimised.

use std::hint::black_box;

use super::*;

#[test]
#[ignore = "prints timings; run it in an optimised build on a quiet machine"]
fn a_choice_and_its_outcome_cost_little() {
    let (registry, now) = (Registry::new(), Instant::now());
    let names = ["a:1", "b:2", "c:3"].iter().zip(1..);
    let service = live(service(names.map(|(name, port)| instance(name, port, 1)).collect()), &registry);
    let rounds = 1_000_000;
    for use_breaker in [BreakerUse::Shared, BreakerUse::None] {
        let started = Instant::now();
        for _ in 0..rounds {
            let target = pick(black_box(&service), use_breaker, now).unwrap();
            target.finish(SUCCESS, now);
        }
        println!("pick and finish, breaker {use_breaker:?}: {:?}", started.elapsed() / rounds);
    }
}
