//! gRPC, as far as a proxy must know of it: what a call is, how long its caller waits, and how it went.

use std::time::{Duration, Instant};

use crate::request::Request;

/// A request that is a call of gRPC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// How long the caller waits for all of it.
    pub timeout: Option<Duration>,
}

impl Call {
    pub fn of(request: &Request) -> Option<Self> {
        request.is_grpc().then(|| Self { timeout: timeout(request) })
    }

    /// When the call is ended, as its caller meant it.
    pub fn deadline(&self, began: Instant) -> Option<Instant> {
        self.timeout.map(|timeout| began + timeout + GRACE)
    }

    /// `status` is the service's `grpc-status`.
    pub fn has_failed(self, status: Option<&[u8]>) -> bool {
        status.is_some_and(|status| is_failure(status, self.timeout.is_some()))
    }
}

/// A caller that keeps its own deadline should see that, and not how we end the call for those that do not.
const GRACE: Duration = Duration::from_millis(100);

/// How long the caller waits for the whole call (`grpc-timeout`). `None` where it does not say, or says it wrongly.
fn timeout(request: &Request) -> Option<Duration> {
    let mut values = request.values(b"grpc-timeout");
    let value = values.next().filter(|_| values.next().is_none())?;
    let (unit, digits) = value.split_last()?;
    if !(1..=8).contains(&digits.len()) || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number: u64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    match unit {
        b'H' => Some(Duration::from_secs(number * 3600)),
        b'M' => Some(Duration::from_secs(number * 60)),
        b'S' => Some(Duration::from_secs(number)),
        b'm' => Some(Duration::from_millis(number)),
        b'u' => Some(Duration::from_micros(number)),
        b'n' => Some(Duration::from_nanos(number)),
        _ => None,
    }
}

/// The number that a `grpc-status` is.
pub fn code(status: &[u8]) -> Option<u16> {
    std::str::from_utf8(status).ok()?.parse().ok()
}

/// The statuses by which a service says that it failed, and not its caller: `UNKNOWN`, `DEADLINE_EXCEEDED`, `INTERNAL`,
/// `UNAVAILABLE` and `DATA_LOSS`. A deadline that the caller chose proves nothing about the service.
fn is_failure(status: &[u8], has_deadline: bool) -> bool {
    match status {
        b"2" | b"13" | b"14" | b"15" => true,
        b"4" => !has_deadline,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::request::{Header, Known};

    fn request(fields: &[(&str, &str)]) -> Request {
        let mut request = Request::new(Ipv4Addr::LOCALHOST.into());
        for (name, value) in fields {
            let (name, value) = (request.append(name.as_bytes()), request.append(value.as_bytes()));
            request.headers.push(Header { name, value, known: Known::Other });
        }
        request
    }

    #[test]
    fn a_call_is_told_by_its_content_type() {
        for (value, expected) in [
            ("application/grpc", true),
            ("application/grpc+proto", true),
            ("application/grpc;x=y", true),
            ("application/grpc-web", false),
            ("application/json", false),
        ] {
            assert_eq!(request(&[("content-type", value)]).is_grpc(), expected, "{value}");
        }
    }

    #[test]
    fn a_timeout_is_up_to_eight_digits_and_a_unit() {
        for (value, expected) in [
            ("1H", Some(Duration::from_secs(3600))),
            ("2M", Some(Duration::from_secs(120))),
            ("3S", Some(Duration::from_secs(3))),
            ("40m", Some(Duration::from_millis(40))),
            ("5u", Some(Duration::from_micros(5))),
            ("99999999n", Some(Duration::from_nanos(99_999_999))),
            ("100000000n", None),
            ("S", None),
            ("", None),
            ("1", None),
            ("-1S", None),
            ("1s", None),
        ] {
            assert_eq!(timeout(&request(&[("grpc-timeout", value)])), expected, "{value}");
        }
        assert_eq!(timeout(&request(&[("grpc-timeout", "1S"), ("grpc-timeout", "2S")])), None);
        assert_eq!(timeout(&request(&[])), None);
    }

    #[test]
    fn a_deadline_of_the_callers_own_is_no_failure_of_the_service() {
        assert!(is_failure(b"4", false) && !is_failure(b"4", true));
        assert!([b"0", b"1", b"3", b"5"].iter().all(|status| !is_failure(*status, false)));
        assert!([b"13", b"14", b"15"].iter().all(|status| is_failure(*status, true)));
    }
}
