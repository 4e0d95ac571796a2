//! One health probe: a GET on a connection of its own.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::instance::Instance;
use super::probe_http2::{check, get};
use crate::snapshot::document::{HealthCheckDocument, HealthKindDocument};

/// `HTTP/1.1 200` is all that is judged.
const STATUS_BYTES: usize = 12;
/// What is read of the rest, so that the service does not see its answer reset, and for how long at most.
const REST_BYTES: u64 = 64 << 10;
const REST_TIME: Duration = Duration::from_millis(200);

/// Did the instance answer well and in time? Connecting counts towards the time.
pub(super) async fn probe(instance: &Instance, settings: &HealthCheckDocument) -> bool {
    let limit = Duration::from_millis(settings.timeout_ms);
    match &settings.kind {
        HealthKindDocument::Http { path } => probe_http1(instance, path, limit).await,
        HealthKindDocument::Http2 { path } => timeout(limit, get(instance, path)).await == Ok(true),
        HealthKindDocument::Grpc { service } => timeout(limit, check(instance, service)).await == Ok(true),
    }
}

async fn probe_http1(instance: &Instance, path: &str, limit: Duration) -> bool {
    let Ok(Ok((mut stream, ok))) = timeout(limit, ask(instance, path)).await else { return false };
    let mut rest = (&mut stream).take(REST_BYTES);
    // The verdict stands already; whatever happens to the rest changes nothing.
    let _ = timeout(REST_TIME, tokio::io::copy(&mut rest, &mut tokio::io::sink())).await;
    ok
}

async fn ask(instance: &Instance, path: &str) -> io::Result<(TcpStream, bool)> {
    let mut stream = TcpStream::connect(instance.address).await?;
    let head = format!(
        "GET {path} HTTP/1.1\r\nHost: {}\r\nUser-Agent: gatewright-health\r\nAccept: */*\r\nConnection: close\r\n\r\n",
        instance.name
    );
    stream.write_all(head.as_bytes()).await?;
    let mut status = [0; STATUS_BYTES];
    stream.read_exact(&mut status).await?;
    Ok((stream, is_success(status)))
}

fn is_success(status: [u8; STATUS_BYTES]) -> bool {
    matches!(status, [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'0' | b'1', b' ', b'2', tens, units]
        if tens.is_ascii_digit() && units.is_ascii_digit())
}
