//! Whether the time of a refusal tells how much of a credential was right. A measurement, so nobody runs it unasked:
//! `cargo test --profile quick -p dataplane --lib -- --ignored --nocapture comparing`.

use std::hint::black_box;
use std::time::Instant;

use super::super::stored_identity::key_of;
use super::*;

const SAMPLES: usize = 1_000_000;
/// Each request lies at so many places of memory, and is sent from one of them at random: what a place costs is more than
/// what is looked for.
const PLACES: usize = 256;
/// Samples above this share of all are noise of the machine.
const CROPPED: f64 = 0.9;

/// The same two requests at many places, made in turn.
struct Copies([Vec<Request>; 2]);

impl Copies {
    fn of(requests: [&dyn Fn() -> Request; 2]) -> Self {
        let mut copies = [Vec::new(), Vec::new()];
        for _ in 0..PLACES {
            for (class, request) in requests.iter().enumerate() {
                copies[class].push(request());
            }
        }
        Self(copies)
    }
}

/// Nanoseconds of each refusal of one of two requests, which one at random.
fn measured(route: &mut Route, Copies(requests): &Copies) -> [Vec<f64>; 2] {
    let mut times = [Vec::with_capacity(SAMPLES), Vec::with_capacity(SAMPLES)];
    let mut random = fastrand::Rng::with_seed(11);
    for _ in 0..SAMPLES {
        let (class, place) = (random.usize(0..2), random.usize(0..PLACES));
        let request = &requests[class][place];
        let start = Instant::now();
        let answer = black_box(identify(
            Some(black_box(&route.policy)),
            black_box(request),
            &mut route.cache,
            None,
            NOW,
        ));
        times[class].push(start.elapsed().as_nanos() as f64);
        assert!(answer.is_err());
    }
    times
}

fn cropped(times: &[f64], most: f64) -> (f64, f64, f64) {
    let kept: Vec<f64> = times.iter().copied().filter(|time| *time <= most).collect();
    let count = kept.len() as f64;
    let mean = kept.iter().sum::<f64>() / count;
    let variance = kept.iter().map(|time| (time - mean).powi(2)).sum::<f64>() / (count - 1.0);
    (count, mean, variance)
}

/// Welch's t of both classes; beyond 4.5 either way they are told apart.
fn compare(what: &str, route: &mut Route, requests: [&dyn Fn() -> Request; 2]) {
    let times = measured(route, &Copies::of(requests));
    let mut all: Vec<f64> = times.concat();
    all.sort_unstable_by(f64::total_cmp);
    let most = all[(all.len() as f64 * CROPPED) as usize];
    let [one, other] = [0, 1].map(|class| cropped(&times[class], most));
    let t = (one.1 - other.1) / (one.2 / one.0 + other.2 / other.0).sqrt();
    println!("{what}: {:.2} ns and {:.2} ns, t = {t:.2} over {SAMPLES} refusals", one.1, other.1);
}

#[test]
#[ignore = "measures time, and says nothing on a busy machine"]
fn how_much_of_a_credential_was_right() {
    let stored = identity(
        "partners",
        json!({"api_key": {"header": "x-api-key", "pepper": null, "keys": null, "stored": true}}),
    );
    let mut route = Route::new(&[stored], false);
    let (key, _) = key_of("a secret of the store", "AbCdEfGhIj12", "0123456789abcdefghijklmnopqrstuv");
    let changed = |place: usize| {
        let mut bytes = key.clone().into_bytes();
        bytes[place] = if bytes[place] == b'a' { b'b' } else { b'a' };
        request(&[("x-api-key", std::str::from_utf8(&bytes).unwrap())])
    };
    let end = key.len();
    let (first, last) = (|| changed(end - 8), || changed(end - 1));
    compare("first and last character of the check", &mut route, [&first, &last]);
    compare("the first twice, for comparison", &mut route, [&first, &first]);
    let mut route = Route::with_every_key(json!({}));
    let token = token("HS256", json!({}));
    let (head, signature) = token.rsplit_once('.').unwrap();
    let signed = |place: usize| {
        let mut bytes = signature.to_owned().into_bytes();
        bytes[place] = if bytes[place] == b'A' { b'B' } else { b'A' };
        let wrong = std::str::from_utf8(&bytes).unwrap();
        request(&[("authorization", &format!("Bearer {head}.{wrong}"))])
    };
    let (first, last) = (|| signed(0), || signed(40));
    compare("first and last byte of an HMAC signature", &mut route, [&first, &last]);
    compare("the first twice, for comparison", &mut route, [&first, &first]);
}
