//! One health probe over HTTP/2: a GET, or the question of gRPC's own health protocol (`grpc.health.v1`).

use std::future::{Future, poll_fn};
use std::pin::pin;

use bytes::Bytes;
use h2::client::{self, ResponseFuture};
use http::header::{CONTENT_TYPE, HeaderMap, TE, USER_AGENT};
use http::{Method, Request, StatusCode, Uri, Version};

use super::instance::Instance;
use crate::io::address::authority;
use crate::io::dial::{Destination, dial};
use crate::tls::ServiceTls;

/// More than any answer to such a question has.
const MOST_BYTES: usize = 1024;
/// The value of `status` that means `SERVING`.
const SERVING: u8 = 1;
/// Field 1, a text; field 1, a number: the only fields that the two messages have.
const SERVICE_FIELD: u8 = 0x0a;
const STATUS_FIELD: u8 = 0x08;

/// Did it answer with 2xx?
pub(super) async fn get(instance: &Instance, tls: Option<&ServiceTls>, path: &str) -> bool {
    let asked = ask((instance, tls), Method::GET, path, None).await;
    asked.is_some_and(|answer| answer.status.is_success())
}

/// Does it say that `service` is `SERVING`? An empty name asks for all of the server.
pub(super) async fn check(instance: &Instance, tls: Option<&ServiceTls>, service: &str) -> bool {
    let Some(question) = question(service) else { return false };
    let asked = ask((instance, tls), Method::POST, "/grpc.health.v1.Health/Check", Some(question)).await;
    asked.is_some_and(|answer| answer.is_well() && says_serving(&answer.body))
}

struct Answer {
    status: StatusCode,
    body: Vec<u8>,
    trailers: HeaderMap,
}

impl Answer {
    fn is_well(&self) -> bool {
        let status = self.trailers.get("grpc-status");
        self.status == StatusCode::OK && status.is_some_and(|status| status.as_bytes() == b"0")
    }
}

/// `None` for whatever is no answer.
async fn ask(
    (instance, tls): (&Instance, Option<&ServiceTls>),
    method: Method,
    path: &str,
    body: Option<Bytes>,
) -> Option<Answer> {
    let scheme = if tls.is_some() { "https" } else { "http" };
    let request = request((instance, scheme), method, path, body.is_some())?;
    let stream = dial(Destination { address: &instance.address, name: &instance.name, tls }).await.ok()?;
    let (mut sender, connection) = client::Builder::new()
        .enable_push(false)
        .max_header_list_size(16 * 1024)
        .handshake::<_, Bytes>(stream)
        .await
        .ok()?;
    let mut connection = pin!(connection);
    let (response, mut upload) = sender.send_request(request, body.is_none()).ok()?;
    if let Some(body) = body {
        upload.send_data(body, true).ok()?;
    }
    let mut answer = pin!(read(response));
    poll_fn(|context| {
        // The end of the connection is told to the stream, which may have its answer by then.
        let _ = connection.as_mut().poll(context);
        answer.as_mut().poll(context)
    })
    .await
}

fn request(
    (instance, scheme): (&Instance, &str),
    method: Method,
    path: &str,
    is_call: bool,
) -> Option<Request<()>> {
    let uri = Uri::builder().scheme(scheme).authority(authority(&instance.name)).path_and_query(path);
    let request = Request::builder()
        .method(method)
        .uri(uri.build().ok()?)
        .version(Version::HTTP_2)
        .header(USER_AGENT, "gatewright-health");
    let request = if is_call {
        request.header(CONTENT_TYPE, "application/grpc").header(TE, "trailers")
    } else {
        request
    };
    request.body(()).ok()
}

async fn read(response: ResponseFuture) -> Option<Answer> {
    let (head, mut stream) = response.await.ok()?.into_parts();
    let mut body = Vec::new();
    while let Some(piece) = stream.data().await {
        let piece = piece.ok()?;
        body.extend_from_slice(&piece);
        if body.len() > MOST_BYTES {
            // The status of a page stands already; no answer of the health protocol is as long.
            break;
        }
        stream.flow_control().release_capacity(piece.len()).ok()?;
    }
    let trailers = if body.len() > MOST_BYTES { None } else { stream.trailers().await.ok()? };
    // A call that fails may say so in its head, which is then all there is.
    let trailers = trailers.unwrap_or(head.headers);
    Some(Answer { status: head.status, body, trailers })
}

/// `HealthCheckRequest` as one message of gRPC.
fn question(service: &str) -> Option<Bytes> {
    let length = u8::try_from(service.len()).ok().filter(|length| *length < 128)?;
    let mut message = Vec::new();
    if length > 0 {
        message.extend_from_slice(&[SERVICE_FIELD, length]);
        message.extend_from_slice(service.as_bytes());
    }
    let mut framed = vec![0, 0, 0, 0, message.len() as u8];
    framed.append(&mut message);
    Some(framed.into())
}

/// `HealthCheckResponse` as one message of gRPC. A field that is not there has the value 0, which is `UNKNOWN`.
fn says_serving(framed: &[u8]) -> bool {
    matches!(framed, [0, 0, 0, 0, 2, STATUS_FIELD, SERVING])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_a_message_of_one_text_or_of_nothing() {
        assert_eq!(question("").unwrap(), &b"\0\0\0\0\0"[..]);
        assert_eq!(question("ab").unwrap(), &b"\0\0\0\0\x04\x0a\x02ab"[..]);
        assert_eq!(question(&"x".repeat(128)), None);
    }

    #[test]
    fn nothing_but_serving_is_serving() {
        assert!(says_serving(b"\0\0\0\0\x02\x08\x01"));
        for other in [&b""[..], b"\0\0\0\0\0", b"\0\0\0\0\x02\x08\x02", b"\x01\0\0\0\x02\x08\x01"] {
            assert!(!says_serving(other), "{other:?}");
        }
    }
}
