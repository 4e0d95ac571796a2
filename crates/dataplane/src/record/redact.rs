//! Query strings without their secrets (O31).

use super::escape::unquoted;
use super::secrets::Secrets;

/// Names whose values are secrets, in lower case and without `_` or `-`.
const SECRET: [&[u8]; 17] = [
    b"token",
    b"accesstoken",
    b"idtoken",
    b"refreshtoken",
    b"code",
    b"password",
    b"passwd",
    b"secret",
    b"clientsecret",
    b"apikey",
    b"key",
    b"signature",
    b"sig",
    b"auth",
    b"authorization",
    b"session",
    b"jwt",
];

/// The longest secret name; a longer word is none.
const LONGEST: usize = 13;

/// Further names, of the operator.
#[derive(Debug, Default)]
pub(super) struct Words(Box<[Box<[u8]>]>);

impl Words {
    /// Of names in any case, with or without `_` and `-`.
    pub(super) fn new(names: &[String]) -> Self {
        let fold = |name: &String| {
            let bytes = name.bytes().filter(|byte| !matches!(byte, b'_' | b'-'));
            bytes.map(|byte| byte.to_ascii_lowercase()).collect()
        };
        Self(names.iter().map(fold).collect())
    }

    /// Is the name, folded, one of them? Whole, or each part of it.
    fn have(&self, name: &[u8]) -> bool {
        if self.0.is_empty() {
            return false;
        }
        let (mut folded, mut rest) = (Vec::new(), name);
        while let Some((byte, after)) = next_decoded(rest) {
            rest = after;
            if !matches!(byte, b'_' | b'-') {
                folded.push(byte.to_ascii_lowercase());
            }
        }
        let is_one = |word: &[u8]| self.0.iter().any(|known| **known == *word);
        let is_between = |byte: &u8| matches!(byte, b'[' | b']' | b'.' | b'+' | b' ');
        is_one(&folded) || folded.split(is_between).any(is_one)
    }
}

/// Writes a query as JSON text with `***` in place of the value of each parameter that has a secret name.
///
/// Names are compared as a service would read them: percent-decoded, without regard to case, `_` and `-`, and
/// by each part of `user[password]` and `user.password`.
pub(super) fn query(out: &mut Vec<u8>, query: &[u8], secrets: &Secrets) {
    for (index, parameter) in query.split(|&byte| byte == b'&').enumerate() {
        if index > 0 {
            out.push(b'&');
        }
        match secret_value(parameter, secrets) {
            Some(start) => {
                unquoted(out, parameter.get(..start).unwrap_or_default());
                out.extend_from_slice(b"***");
            }
            None => unquoted(out, parameter),
        }
    }
}

/// Where the first secret value of a parameter starts. Some services also split at `;`, so each such part may be
/// a name of its own; what follows a secret's `;` may still belong to the secret.
fn secret_value(parameter: &[u8], secrets: &Secrets) -> Option<usize> {
    let mut start = 0;
    for part in parameter.split(|&byte| byte == b';') {
        if let Some(equals) = memchr::memchr(b'=', part)
            && let Some(name) = part.get(..equals)
            && secrets.has_parameter(name)
        {
            return Some(start + equals + 1);
        }
        start += part.len() + 1;
    }
    None
}

pub(super) fn is_secret(name: &[u8], more: &Words) -> bool {
    let mut word = Word::default();
    let mut rest = name;
    while let Some((byte, after)) = next_decoded(rest) {
        rest = after;
        match byte.to_ascii_lowercase() {
            b'_' | b'-' => {}
            // A space around a name (`+`, `%20`) is trimmed by some services.
            b'[' | b']' | b'.' | b'+' | b' ' => {
                if word.is_secret() {
                    return true;
                }
                word = Word::default();
            }
            letter => word.push(letter),
        }
    }
    word.is_secret() || more.have(name)
}

/// The first byte of a name after percent-decoding, and what follows it. A broken escape stands for itself.
fn next_decoded(name: &[u8]) -> Option<(u8, &[u8])> {
    if let [b'%', high, low, after @ ..] = name
        && let (Some(high), Some(low)) = (digit(*high), digit(*low))
    {
        return Some((high << 4 | low, after));
    }
    name.split_first().map(|(first, after)| (*first, after))
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).map(|digit| digit as u8)
}

#[derive(Default)]
struct Word {
    bytes: [u8; LONGEST],
    length: usize,
}

impl Word {
    fn push(&mut self, byte: u8) {
        if let Some(place) = self.bytes.get_mut(self.length) {
            *place = byte;
        }
        self.length = self.length.saturating_add(1);
    }

    fn is_secret(&self) -> bool {
        self.bytes.get(..self.length).is_some_and(|word| SECRET.contains(&word))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redacted(text: &str) -> String {
        let mut out = Vec::new();
        let secrets = Secrets::new(["t".into()].into(), &["Member_No".to_owned()], [].into_iter());
        query(&mut out, text.as_bytes(), &secrets);
        String::from_utf8(out).expect("UTF-8")
    }

    #[test]
    fn other_parameters_are_kept_as_sent() {
        for text in
            ["", "a=1&b=2", "tokens=3", "a&b&", "%zz=1&monkey=%20", "keyboard=x", "a;b=c", "authorizations=1"]
        {
            assert_eq!(redacted(text), text);
        }
    }

    #[test]
    fn each_listed_name_loses_its_value_in_any_case() {
        let listed = "token access_token id_token refresh_token code password passwd secret client_secret api_key \
                      apikey key signature sig auth authorization session jwt";
        for name in listed.split_whitespace() {
            assert_eq!(redacted(&format!("a=1&{name}=CANARY&b=2")), format!("a=1&{name}=***&b=2"));
            let upper = name.to_uppercase();
            assert_eq!(redacted(&format!("{upper}=CANARY")), format!("{upper}=***"));
        }
    }

    #[test]
    fn a_disguised_name_is_still_secret() {
        for name in [
            "%74oken",
            "access%5Ftoken",
            "access-token",
            "user[password]",
            "user.secret",
            "key[]",
            "+token",
            "x[%6bey",
        ] {
            assert_eq!(redacted(&format!("{name}=CANARY&z")), format!("{name}=***&z"));
        }
    }

    #[test]
    fn a_name_of_the_configuration_is_secret_in_every_spelling() {
        assert_eq!(redacted("a=1&t=CANARY&%74=CANARY&tt=1"), "a=1&t=***&%74=***&tt=1");
    }

    #[test]
    fn a_name_of_the_operator_is_secret_in_every_spelling() {
        for name in ["member_no", "memberno", "MEMBER-NO", "member%5fno", "a[memberNo]", "a.member_no"] {
            assert_eq!(redacted(&format!("{name}=CANARY&z")), format!("{name}=***&z"));
        }
        assert_eq!(redacted("member=1&no=2&membernos=3"), "member=1&no=2&membernos=3");
    }

    #[test]
    fn a_secret_ends_only_at_an_ampersand() {
        assert_eq!(redacted("token=CAN;ARY=1;x=2&a=1"), "token=***&a=1");
        assert_eq!(redacted("a=1;token=CANARY=="), "a=1;token=***");
    }
}
