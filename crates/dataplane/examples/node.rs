//! A node without Python, for counting instructions: `node SNAPSHOT.json [WORKERS]`. Runs until it is killed.

use std::time::Duration;

use dataplane::engine::{Engine, EngineError};

fn main() -> Result<(), EngineError> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().ok_or_else(|| usage("node SNAPSHOT.json [WORKERS]"))?;
    let workers: usize = arguments.next().and_then(|text| text.parse().ok()).unwrap_or(1);
    let snapshot = std::fs::read(&path).map_err(|error| usage(&format!("{path}: {error}")))?;
    let options = format!("{{\"workers\": {workers}, \"identity_timeout_ms\": 2000}}");
    let engine = Engine::new(options.as_bytes())?;
    engine.start()?;
    let version = engine.apply(&snapshot)?;
    eprintln!("version {version} is live");
    loop {
        // Somebody has to take the records, or the queue would be full after the first moments.
        engine.next_records(1 << 20, Duration::from_secs(1));
    }
}

fn usage(message: &str) -> EngineError {
    EngineError::Engine(message.to_owned())
}
