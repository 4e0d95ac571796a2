//! One health probe, on a connection of its own.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::instance::Instance;
use crate::snapshot::document::{HealthCheckDocument, HttpProbeDocument, ProbeDocument};

/// `HTTP/1.1 200` is all that is judged.
const STATUS_BYTES: usize = 12;
/// What is read of the rest, so that the service does not see its answer reset, and for how long at most.
const REST_BYTES: u64 = 64 << 10;
const REST_TIME: Duration = Duration::from_millis(200);

/// Did the instance answer as it should, in time? Connecting counts towards the time.
pub(super) async fn probe(instance: &Instance, settings: &HealthCheckDocument) -> bool {
    let limit = Duration::from_millis(settings.timeout_ms);
    let mut address = instance.address;
    if let Some(port) = settings.port {
        address.set_port(port);
    }
    match &settings.kind {
        ProbeDocument::Tcp => matches!(timeout(limit, TcpStream::connect(address)).await, Ok(Ok(_))),
        ProbeDocument::Http(http) => {
            let asked = timeout(limit, ask(address, &instance.name, http)).await;
            let Ok(Ok((stream, status))) = asked else { return false };
            drain(stream).await;
            http.statuses.iter().any(|(first, last)| (*first..=*last).contains(&status))
        }
    }
}

/// The verdict stands already; whatever happens to the rest changes nothing.
async fn drain(stream: TcpStream) {
    let mut rest = stream.take(REST_BYTES);
    let _ = timeout(REST_TIME, tokio::io::copy(&mut rest, &mut tokio::io::sink())).await;
}

async fn ask(address: SocketAddr, name: &str, http: &HttpProbeDocument) -> io::Result<(TcpStream, u16)> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(head(name, http).as_bytes()).await?;
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
