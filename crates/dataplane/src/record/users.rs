//! Users as records name them where they are not to be told: by a keyed hash.

use aws_lc_rs::hmac;

use super::timestamp::civil_day;
use crate::snapshot::document::{RotateDocument, UserKeyDocument};

/// Bytes of the hash that are told: enough that no two users share one.
const TOLD: usize = 16;

/// Hashes user ids. `records/user_ids.py` does the same, for those who look for a user.
#[derive(Debug)]
pub struct UserHash {
    /// As a record tells it: without anything that a string of JSON would have to escape.
    id: Box<str>,
    key: hmac::Key,
    rotate: RotateDocument,
}

impl UserHash {
    pub fn compile(document: &UserKeyDocument) -> Self {
        Self {
            id: document.id.as_str().into(),
            key: hmac::Key::new(hmac::HMAC_SHA256, document.secret.as_bytes()),
            rotate: document.rotate,
        }
    }

    /// `ID:HASH`, or `ID.PERIOD:HASH` where a user has another hash in another period of time: HMAC-SHA256 of the user, or
    /// of `PERIOD:USER`, of which the first 16 bytes are told in hexadecimal digits.
    pub(super) fn of(&self, user: &str, unix_ms: u64) -> String {
        let mut context = hmac::Context::with_key(&self.key);
        let mut out = self.id.to_string();
        if let Some(period) = self.period(unix_ms) {
            context.update(period.as_bytes());
            context.update(b":");
            out.push('.');
            out.push_str(&period);
        }
        context.update(user.as_bytes());
        out.push(':');
        for byte in context.sign().as_ref().iter().take(TOLD) {
            for digit in [byte >> 4, byte & 15] {
                out.extend(char::from_digit(u32::from(digit), 16));
            }
        }
        out
    }

    fn period(&self, unix_ms: u64) -> Option<String> {
        let (year, month, day) = civil_day(unix_ms);
        match self.rotate {
            RotateDocument::Never => None,
            RotateDocument::Daily => Some(format!("{year:04}{month:02}{day:02}")),
            RotateDocument::Monthly => Some(format!("{year:04}{month:02}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-27T16:00:00Z.
    const NOON: u64 = 1_795_795_200_000;
    const DAY: u64 = 86_400_000;

    fn hash(secret: &str, rotate: RotateDocument) -> UserHash {
        UserHash::compile(&UserKeyDocument { id: "k1".to_owned(), secret: secret.to_owned(), rotate })
    }

    #[test]
    fn a_hash_tells_its_key_and_its_period() {
        for (rotate, prefix) in [
            (RotateDocument::Never, "k1:"),
            (RotateDocument::Daily, "k1.20261127:"),
            (RotateDocument::Monthly, "k1.202611:"),
        ] {
            let told = hash("secret", rotate).of("alice", NOON);
            let digits = told.strip_prefix(prefix).expect(&told);
            assert!(digits.len() == 32 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()), "{told}");
        }
    }

    #[test]
    fn a_user_has_another_hash_under_another_key_or_in_another_period() {
        let daily = hash("secret", RotateDocument::Daily);
        assert_eq!(daily.of("alice", NOON), daily.of("alice", NOON + 3_600_000));
        let digits = |told: String| told.split_once(':').map(|(_, digits)| digits.to_owned());
        let all = [
            daily.of("alice", NOON),
            daily.of("alice", NOON + DAY),
            daily.of("bob", NOON),
            hash("another", RotateDocument::Daily).of("alice", NOON),
            hash("secret", RotateDocument::Never).of("alice", NOON),
            hash("secret", RotateDocument::Monthly).of("alice", NOON),
        ];
        let mut all: Vec<_> = all.into_iter().map(digits).collect();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), 6);
    }

    #[test]
    fn the_hash_is_what_python_computes() {
        // hmac.new(b"0123456789abcdef0123456789abcdef", b"alice", "sha256").hexdigest()[:32]
        let told = hash("0123456789abcdef0123456789abcdef", RotateDocument::Never).of("alice", NOON);
        assert_eq!(told, "k1:433deb45467e4e53dbaba594c88bc3a2");
        // The same of b"20261127:alice".
        let told = hash("0123456789abcdef0123456789abcdef", RotateDocument::Daily).of("alice", NOON);
        assert_eq!(told, "k1.20261127:aef2d7a15cce0b49171db80bb4d01c12");
    }
}
