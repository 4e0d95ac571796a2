//! One health probe: a GET on a connection of its own.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::instance::Instance;
use super::probe_http2::{check, get};
use crate::io::address::authority;
use crate::io::dial::{Destination, dial};
use crate::io::stream::Stream;
use crate::snapshot::document::{HealthCheckDocument, HealthKindDocument};
use crate::tls::ServiceTls;

/// `HTTP/1.1 200` is all that is judged.
const STATUS_BYTES: usize = 12;
/// What is read of the rest, so that the service does not see its answer reset, and for how long at most.
const REST_BYTES: u64 = 64 << 10;
const REST_TIME: Duration = Duration::from_millis(200);

/// Did the instance answer well and in time? Connecting counts towards the time, a TLS handshake included.
pub(super) async fn probe(
    instance: &Instance,
    tls: Option<&ServiceTls>,
    settings: &HealthCheckDocument,
) -> bool {
    let limit = Duration::from_millis(settings.timeout_ms);
    match &settings.kind {
        HealthKindDocument::Http { path } => probe_http1((instance, tls), path, limit).await,
        HealthKindDocument::Http2 { path } => timeout(limit, get(instance, tls, path)).await == Ok(true),
        HealthKindDocument::Grpc { service } => {
            timeout(limit, check(instance, tls, service)).await == Ok(true)
        }
    }
}

async fn probe_http1((instance, tls): (&Instance, Option<&ServiceTls>), path: &str, limit: Duration) -> bool {
    let Ok(Ok((mut stream, ok))) = timeout(limit, ask(instance, tls, path)).await else { return false };
    let mut rest = (&mut stream).take(REST_BYTES);
    // The verdict stands already; whatever happens to the rest changes nothing.
    let _ = timeout(REST_TIME, tokio::io::copy(&mut rest, &mut tokio::io::sink())).await;
    ok
}

async fn ask(instance: &Instance, tls: Option<&ServiceTls>, path: &str) -> io::Result<(Stream, bool)> {
    let destination = Destination { address: &instance.address, name: &instance.name, tls };
    // Why it cannot be reached is for requests to tell.
    let mut stream = dial(destination).await.map_err(|_| io::ErrorKind::ConnectionRefused)?;
    let head = format!(
        "GET {path} HTTP/1.1\r\nHost: {}\r\nUser-Agent: gatewright-health\r\nAccept: */*\r\nConnection: close\r\n\r\n",
        authority(&instance.name)
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
