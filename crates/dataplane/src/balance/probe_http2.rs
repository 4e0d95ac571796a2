//! One health probe over HTTP/2: a GET, or the question of gRPC's own health protocol (`grpc.health.v1`).

use std::future::{Future, poll_fn};
use std::pin::pin;

use bytes::Bytes;
use h2::client::{self, ResponseFuture};
use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, TE, USER_AGENT};
use http::{Method, Request, StatusCode, Uri, Version};

use crate::io::address::authority;
use crate::io::dial::{Destination, dial};
use crate::snapshot::document::HttpProbeDocument;

/// More than any answer to such a question has.
const MOST_BYTES: usize = 1024;
/// The value of `status` that means `SERVING`.
const SERVING: u8 = 1;
/// Field 1, a text; field 1, a number: the only fields that the two messages have.
const SERVICE_FIELD: u8 = 0x0a;
const STATUS_FIELD: u8 = 0x08;

/// The status that it answers a GET with; `None` for whatever is no answer.
pub(super) async fn get(destination: Destination<'_>, http: &HttpProbeDocument) -> Option<u16> {
    let authority = http.host.as_deref().unwrap_or(authority(destination.name));
    let mut request = request(destination, (Method::GET, authority, &http.path))?;
    let headers = request.headers_mut();
    for (name, value) in &http.headers {
        let (name, value) = (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(value));
        headers.insert(name.ok()?, value.ok()?);
    }
    ask(destination, request, None).await.map(|answer| answer.status.as_u16())
}

/// Does it say that `service` is `SERVING`? An empty name asks for all of the server.
pub(super) async fn check(destination: Destination<'_>, service: &str) -> bool {
    let target = (Method::POST, destination.name, "/grpc.health.v1.Health/Check");
    let (Some(question), Some(mut request)) = (question(service), request(destination, target)) else {
        return false;
    };
    request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    request.headers_mut().insert(TE, HeaderValue::from_static("trailers"));
    let asked = ask(destination, request, Some(question)).await;
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
async fn ask(destination: Destination<'_>, request: Request<()>, body: Option<Bytes>) -> Option<Answer> {
    let stream = dial(destination).await.ok()?;
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
    destination: Destination<'_>,
    (method, authority, path): (Method, &str, &str),
) -> Option<Request<()>> {
    let scheme = if destination.tls.is_some() { "https" } else { "http" };
    let uri = Uri::builder().scheme(scheme).authority(authority).path_and_query(path);
    let request = Request::builder()
        .method(method)
        .uri(uri.build().ok()?)
        .version(Version::HTTP_2)
        .header(USER_AGENT, "gatewright-health");
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
