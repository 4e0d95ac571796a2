//! Which protocol a connection speaks, where nobody has negotiated one: the first bytes tell.

/// What every HTTP/2 connection begins with (RFC 9113 section 3.4); no request of HTTP/1.1 does.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Http1,
    Http2,
    /// More bytes must be seen.
    Open,
}

pub fn begins(bytes: &[u8]) -> Verdict {
    if bytes.starts_with(PREFACE) {
        Verdict::Http2
    } else if PREFACE.starts_with(bytes) {
        Verdict::Open
    } else {
        Verdict::Http1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_preface_is_http2() {
        for length in 0..PREFACE.len() {
            assert_eq!(begins(&PREFACE[..length]), Verdict::Open);
            let mut other = PREFACE[..length].to_vec();
            other.push(b'x');
            assert_eq!(begins(&other), Verdict::Http1);
        }
        assert_eq!(begins(PREFACE), Verdict::Http2);
        assert_eq!(begins(&[PREFACE, b"more"].concat()), Verdict::Http2);
    }
}
