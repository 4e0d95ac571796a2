//! A node without Python, for counting instructions: `node SNAPSHOT.json [WORKERS]`. Ends with its standard input.

use std::io::Read;
use std::time::Duration;

use dataplane::engine::{Engine, EngineError};

fn main() -> Result<(), EngineError> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().ok_or_else(|| usage("node SNAPSHOT.json [WORKERS]"))?;
    let workers: usize = arguments.next().and_then(|text| text.parse().ok()).unwrap_or(1);
    let snapshot = std::fs::read(&path).map_err(|error| usage(&format!("{path}: {error}")))?;
    let options = format!("{{\"workers\": {workers}, \"identity_timeout_ms\": 2000}}");
    let engine = std::sync::Arc::new(Engine::new(options.as_bytes())?);
    engine.start()?;
    let version = engine.apply(&snapshot)?;
    eprintln!("version {version} is live");
    let records = std::sync::Arc::clone(&engine);
    std::thread::spawn(move || {
        while records.next_records(1 << 20, Duration::from_secs(1)).is_some() || !records.is_stopped() {}
    });
    // Whoever started us closes this when it is done.
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
    engine.drain(Duration::from_secs(5));
    engine.stop();
    Ok(())
}

fn usage(message: &str) -> EngineError {
    EngineError::Engine(message.to_owned())
}
