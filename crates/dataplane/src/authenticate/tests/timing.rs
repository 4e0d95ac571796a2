//! What a token costs: the figures of docs/how-to/jwt.md.

use std::time::Instant;

use super::*;

const TIMES: u32 = 500;

#[test]
#[ignore = "prints timings; run it in an optimised build on a quiet machine"]
fn tokens_cost_this_much() {
    let mut route = Route::with_every_key(json!({}));
    for algorithm in ALGORITHMS {
        let good = token(algorithm, json!({}));
        let (head, tag) = good.rsplit_once('.').unwrap();
        let other = encode(signature(algorithm, b"something else"));
        let bad = format!("{head}.{other}");
        let good_bearer = format!("Bearer {head}.{tag}");
        let (good_bearer, bad_bearer) =
            ([("authorization", &*good_bearer)], [("authorization", &*format!("Bearer {bad}"))]);
        let (good, bad) = (request(&good_bearer), request(&bad_bearer));
        let mut ask = |request: &Request, is_forgotten: bool| {
            let began = Instant::now();
            for _ in 0..TIMES {
                if is_forgotten {
                    route.cache = TokenCache::new(100);
                }
                let _ =
                    std::hint::black_box(identify(Some(&route.policy), request, &mut route.cache, None, NOW));
            }
            began.elapsed().as_secs_f64() * 1e6 / f64::from(TIMES)
        };
        let (known, anew, wrong) = (ask(&good, false), ask(&good, true), ask(&bad, false));
        println!(
            "{algorithm}: remembered {known:.2} µs, verified {anew:.1} µs, wrong signature {wrong:.1} µs"
        );
    }
    let began = Instant::now();
    let cheap = request(&[("authorization", "Bearer x.y.z")]);
    for _ in 0..TIMES {
        let _ = std::hint::black_box(identify(Some(&route.policy), &cheap, &mut route.cache, None, NOW));
    }
    println!("malformed: {:.2} µs", began.elapsed().as_secs_f64() * 1e6 / f64::from(TIMES));
}
