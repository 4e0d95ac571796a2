//! Speed, on demand: `cargo test --profile quick -p dataplane --lib route::tests::timing -- --ignored --nocapture`.

use std::hint::black_box;
use std::time::Instant;

use super::*;

/// A mix as in a large company: per service one exact, two patterns, a prefix, and here and there a regex.
fn mixed(count: usize, regexes: bool) -> Vec<RouteDocument> {
    let path = |index: usize| {
        let service = index / 5;
        match index % 5 {
            0 => exact(&format!("/api/v{}/service-{service}/status", service % 3)),
            1 => pattern(&format!("/api/v{}/service-{service}/items/{{id}}", service % 3)),
            2 => pattern(&format!("/api/v{}/service-{service}/items/{{id}}/parts/{{part}}", service % 3)),
            3 if regexes => regex(&format!("/r/service-{service}/[0-9]+/.*")),
            _ => prefix(&format!("/api/v{}/service-{service}", service % 3)),
        }
    };
    (0..count).map(|index| route(path(index)).methods(&["GET", "POST"])).collect()
}

fn measure(name: &str, routes: &[RouteDocument], target: &str) {
    let started = Instant::now();
    let table = compile(routes);
    let compiled = started.elapsed();
    let request = request("api.example.com", target, &[]);
    let rounds = 50_000;
    let started = Instant::now();
    for _ in 0..rounds {
        let _ = black_box(find(&table, black_box(&request), b"GET"));
    }
    let each = started.elapsed() / rounds;
    println!("{name} {:>6} routes: {each:?} a look-up of {target}, compiled in {compiled:?}", routes.len());
}

#[test]
#[ignore = "prints timings; run it in an optimised build on a quiet machine"]
fn look_ups_stay_flat_as_routes_grow() {
    for count in [10, 500, 10_000] {
        let service = count / 5 - 1;
        let version = service % 3;
        for rest in ["status", "items/42", "items/42/parts/7", "other/deep/path"] {
            let target = format!("/api/v{version}/service-{service}/{rest}");
            measure("segments", &mixed(count, false), &target);
        }
        measure("regexes ", &mixed(count, true), &format!("/r/service-{service}/17/x"));
        measure("nothing ", &mixed(count, true), "/api/v9/nobody/home");
        let bare: Vec<RouteDocument> =
            (0..count / 5).map(|service| route(regex(&format!("/[a-z]+/service-{service}/.*")))).collect();
        measure("one set ", &bare, &format!("/r/service-{service}/17/x"));
    }
}
