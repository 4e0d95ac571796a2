//! Which values are secrets: of the query by its parameters' names (O31), of headers by theirs (LG-11).

use super::escape::unquoted;
use super::redact::{Words, is_secret};
use crate::query;

/// Names that are secret by the configuration, beside those that always are.
#[derive(Debug, Default)]
pub(super) struct Secrets {
    /// Where identities look for credentials; exactly as they are written there.
    parameters: Box<[Box<str>]>,
    /// Of the operator: in lower case and without `_` and `-`.
    words: Words,
    /// In lower case.
    headers: Box<[Box<str>]>,
}

/// Parts between `-` or `_` of the name of a header that is a secret, whoever made it up.
const PARTS: [&[u8]; 14] = [
    b"authorization",
    b"auth",
    b"cookie",
    b"token",
    b"secret",
    b"password",
    b"passwd",
    b"session",
    b"jwt",
    b"apikey",
    b"credential",
    b"credentials",
    b"signature",
    b"csrf",
];

impl Secrets {
    pub(super) fn new<'a>(
        parameters: Box<[Box<str>]>,
        words: &[String],
        headers: impl Iterator<Item = &'a str>,
    ) -> Self {
        Self { parameters, words: Words::new(words), headers: headers.map(Into::into).collect() }
    }

    /// Is the value of the parameter with this name, still encoded, a secret?
    pub(super) fn has_parameter(&self, name: &[u8]) -> bool {
        is_secret(name, &self.words)
            || self.parameters.iter().any(|secret| query::is_text(name, secret.as_bytes()))
    }

    /// The name is in lower case.
    pub(super) fn has_header(&self, name: &str) -> bool {
        let mut parts = name.as_bytes().split(|byte| matches!(byte, b'-' | b'_'));
        parts.any(|part| PARTS.contains(&part))
            || name.contains("api-key")
            || name.contains("api_key")
            || self.headers.iter().any(|secret| **secret == *name)
    }
}

/// What is told of a header that is a secret: of a credential its scheme.
pub(super) fn redacted(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    if name.ends_with("authorization")
        && let Some(space) = value.iter().position(|byte| *byte == b' ')
        && let Some(scheme) = value.get(..=space)
        && scheme.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b' '))
    {
        unquoted(out, scheme);
    }
    out.extend_from_slice(b"***");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_that_carry_credentials_are_secret() {
        let secrets = Secrets::new(Box::default(), &[], ["x-partner", "x-own"].into_iter());
        for name in [
            "authorization",
            "proxy-authorization",
            "cookie",
            "set-cookie",
            "x-api-key",
            "api-key",
            "x-auth-token",
            "x_api_key",
            "x-csrf-token",
            "x-amz-security-token",
            "signature",
            "x-partner",
            "x-own",
        ] {
            assert!(secrets.has_header(name), "{name}");
        }
        for name in
            ["accept", "content-type", "x-partner-id", "etag", "author", "x-request-id", "idempotency-key"]
        {
            assert!(!secrets.has_header(name), "{name}");
        }
    }

    #[test]
    fn of_a_credential_the_scheme_is_told() {
        for (name, value, told) in [
            ("authorization", "Bearer CANARY", "Bearer ***"),
            ("proxy-authorization", "Basic CANARY", "Basic ***"),
            ("authorization", "CANARY", "***"),
            ("authorization", "CAN/ARY x", "***"),
            ("cookie", "a CANARY", "***"),
        ] {
            let mut out = Vec::new();
            redacted(&mut out, name, value.as_bytes());
            assert_eq!(String::from_utf8_lossy(&out), told);
        }
    }
}
