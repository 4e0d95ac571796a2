//! One health probe, on a connection of its own.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::instance::Instance;
use super::probe_http2::{check, get};
use crate::io::address::authority;
use crate::io::dial::{Destination, dial};
use crate::io::stream::Stream;
use crate::snapshot::document::{HealthCheckDocument, HttpProbeDocument, ProbeDocument};
use crate::tls::ServiceTls;

/// `HTTP/1.1 200` is all that is judged.
const STATUS_BYTES: usize = 12;
/// What is read of the rest, so that the service does not see its answer reset, and for how long at most.
const REST_BYTES: u64 = 64 << 10;
const REST_TIME: Duration = Duration::from_millis(200);

/// Did the instance answer as it should, in time? Connecting counts towards the time, a TLS handshake included.
pub(super) async fn probe(
    instance: &Instance,
    tls: Option<&ServiceTls>,
    settings: &HealthCheckDocument,
) -> bool {
    let limit = Duration::from_millis(settings.timeout_ms);
    let moved = settings.port.map(|port| instance.address.at_port(port));
    let address = moved.as_ref().unwrap_or(&instance.address);
    let destination = Destination { address, name: &instance.name, tls };
    match &settings.kind {
        ProbeDocument::Http(http) => {
            let asked = timeout(limit, ask(destination, http)).await;
            let Ok(Ok((stream, status))) = asked else { return false };
            drain(stream).await;
            is_expected(http, status)
        }
        ProbeDocument::Http2(http) => {
            let asked = timeout(limit, get(destination, http)).await;
            asked.is_ok_and(|status| status.is_some_and(|status| is_expected(http, status)))
        }
        ProbeDocument::Grpc { service } => timeout(limit, check(destination, service)).await == Ok(true),
        ProbeDocument::Tcp => {
            let plain = Destination { tls: None, ..destination };
            matches!(timeout(limit, dial(plain)).await, Ok(Ok(_)))
        }
    }
}

fn is_expected(http: &HttpProbeDocument, status: u16) -> bool {
    http.statuses.iter().any(|(first, last)| (*first..=*last).contains(&status))
}

/// The verdict stands already; whatever happens to the rest changes nothing.
async fn drain(stream: Stream) {
    let mut rest = stream.take(REST_BYTES);
    let _ = timeout(REST_TIME, tokio::io::copy(&mut rest, &mut tokio::io::sink())).await;
}

async fn ask(destination: Destination<'_>, http: &HttpProbeDocument) -> io::Result<(Stream, u16)> {
    // Why it cannot be reached is for requests to tell.
    let mut stream = dial(destination).await.map_err(|_| io::ErrorKind::ConnectionRefused)?;
    stream.write_all(head(authority(destination.name), http).as_bytes()).await?;
    let mut line = [0; STATUS_BYTES];
    stream.read_exact(&mut line).await?;
    Ok((stream, status(line)))
}

fn head(name: &str, http: &HttpProbeDocument) -> String {
    let host = http.host.as_deref().unwrap_or(name);
    let mut head = format!("GET {} HTTP/1.1\r\nHost: {host}\r\n", http.path);
    let given = |name: &str| http.headers.iter().any(|(given, _)| given.eq_ignore_ascii_case(name));
    for (name, value) in [("User-Agent", "gatewright-health"), ("Accept", "*/*")] {
        if !given(name) {
            head += &format!("{name}: {value}\r\n");
        }
    }
    for (name, value) in &http.headers {
        head += &format!("{name}: {value}\r\n");
    }
    head + "Connection: close\r\n\r\n"
}

/// 0 for what is no status line.
fn status(line: [u8; STATUS_BYTES]) -> u16 {
    match line {
        [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'0' | b'1', b' ', digits @ ..]
            if digits.iter().all(u8::is_ascii_digit) =>
        {
            digits.iter().fold(0, |status, digit| status * 10 + u16::from(digit - b'0'))
        }
        _ => 0,
    }
}
