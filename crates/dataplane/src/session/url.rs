//! Addresses that browsers are sent to, and the queries that they bring back.

/// An address with parameters added to its query.
pub struct Url {
    text: String,
    /// Stands before the next parameter.
    joint: char,
}

impl Url {
    pub fn new(base: &str) -> Self {
        Self { text: base.to_owned(), joint: if base.contains('?') { '&' } else { '?' } }
    }

    pub fn add(&mut self, name: &str, value: &str) {
        self.text.push(self.joint);
        self.joint = '&';
        encode(name, &mut self.text);
        self.text.push('=');
        encode(value, &mut self.text);
    }

    pub fn finish(self) -> String {
        self.text
    }
}

/// All but unreserved characters as `%XX`.
fn encode(text: &str, out: &mut String) {
    const DIGITS: [char; 16] =
        ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F'];
    let digit = |value: u8| DIGITS.get(usize::from(value)).copied().unwrap_or_default();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.extend(['%', digit(byte >> 4), digit(byte & 15)]);
        }
    }
}

/// The value of a parameter, decoded. `None` where it is missing, sent twice or no text: two readers could differ.
pub fn parameter(query: &str, name: &str) -> Option<String> {
    let mut found = None;
    for pair in query.split('&') {
        let (own, value) = pair.split_once('=').unwrap_or((pair, ""));
        if decode(own).as_deref() == Some(name) && found.replace(value).is_some() {
            return None;
        }
    }
    decode(found?)
}

fn decode(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'+' => out.push(b' '),
            b'%' => out.push(hexadecimal(bytes.next()?)? << 4 | hexadecimal(bytes.next()?)?),
            other => out.push(other),
        }
    }
    String::from_utf8(out).ok().filter(|text| !text.chars().any(char::is_control))
}

fn hexadecimal(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

/// A path of this host, and nothing that a browser could take for another one: `//` and `/\` begin the name of a host.
pub fn is_local(path: &str) -> bool {
    let mut rest = path.bytes();
    rest.next() == Some(b'/')
        && !matches!(rest.next(), Some(b'/' | b'\\'))
        && path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\')
}

/// Is it this path or one below?
pub fn is_below(path: &str, above: &str) -> bool {
    let above = above.strip_suffix('/').unwrap_or(above);
    path.strip_prefix(above).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_added_encoded_and_read_back() {
        let mut url = Url::new("https://id.example.com/authorize?realm=a");
        url.add("redirect_uri", "https://app/x?a=b&c=ü #");
        url.add("scope", "openid profile");
        let text = url.finish();
        assert_eq!(
            text,
            "https://id.example.com/authorize?realm=a&redirect_uri=https%3A%2F%2Fapp%2Fx%3Fa%3Db%26c%3D%C3%BC%20%23\
             &scope=openid%20profile"
        );
        let (_, query) = text.split_once('?').unwrap();
        assert_eq!(parameter(query, "redirect_uri").unwrap(), "https://app/x?a=b&c=ü #");
        assert_eq!(parameter("a=x+y&b", "a").unwrap(), "x y");
        assert_eq!(parameter("a=x&b", "b").unwrap(), "");
        for odd in ["a=1&a=2", "a=1&%61=2", "a=%", "a=%4", "a=%zz", "a=%ff", "a=%0d%0a", "b=1", ""] {
            assert_eq!(parameter(odd, "a"), None, "{odd}");
        }
    }

    #[test]
    fn only_paths_of_this_host_are_local() {
        for good in ["/", "/a", "/a?b=//c", "/a/../b", "/?x=https://evil.example"] {
            assert!(is_local(good), "{good}");
        }
        for bad in
            ["", "a", "//evil.example", "/\\evil.example", "\\/evil", "https://evil.example", "/a b", "/a\\b"]
        {
            assert!(!is_local(bad), "{bad}");
        }
        for bad in ["/a\r\nset-cookie: x=y", "/\t/evil.example", "/ü", "javascript:alert(1)", " /a"] {
            assert!(!is_local(bad), "{bad:?}");
        }
    }

    #[test]
    fn a_path_ends_at_its_segment() {
        assert!(is_below("/api", "/api") && is_below("/api/x", "/api") && is_below("/api/x", "/api/"));
        assert!(!is_below("/apix", "/api") && !is_below("/", "/api") && is_below("/x", "/"));
    }
}
