//! From the canonical path of a request to the name of a file.

/// Where names that begin with a dot are meant for everybody (RFC 8615).
const WELL_KNOWN: &[u8] = b".well-known";

/// Decodes a path, below a route's prefix, to a name relative to the root, without slashes at its ends. `None` for what
/// no file is called, and for hidden names where those are refused.
pub fn file_name(path: &str, hidden: bool) -> Option<Vec<u8>> {
    let mut name = Vec::with_capacity(path.len());
    for (place, segment) in path.split('/').filter(|segment| !segment.is_empty()).enumerate() {
        if place > 0 {
            name.push(b'/');
        }
        let start = name.len();
        decode(segment.as_bytes(), &mut name)?;
        let segment = name.get(start..)?;
        let is_dots = matches!(segment, b"." | b"..");
        let is_hidden = segment.first() == Some(&b'.') && !(place == 0 && segment == WELL_KNOWN);
        if is_dots
            || is_hidden && !hidden
            || segment.iter().any(|byte| byte.is_ascii_control() || *byte == b'/')
        {
            return None;
        }
    }
    Some(name)
}

fn decode(segment: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let mut bytes = segment.iter();
    while let Some(&byte) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let digits = [*bytes.next()?, *bytes.next()?];
        out.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(path: &str) -> Option<String> {
        file_name(path, false).map(|name| String::from_utf8_lossy(&name).into_owned())
    }

    #[test]
    fn escapes_are_decoded_and_slashes_at_the_ends_left_out() {
        assert_eq!(name("/a/b%20c/").as_deref(), Some("a/b c"));
        assert_eq!(name("/").as_deref(), Some(""));
        assert_eq!(name("").as_deref(), Some(""));
        assert_eq!(name("/%C3%A9.txt").as_deref(), Some("é.txt"));
        assert_eq!(name("/a;b/%25").as_deref(), Some("a;b/%"));
    }

    #[test]
    fn what_no_file_is_called_names_none() {
        for path in [
            "/..", "/a/../b", "/.", "/a%2Fb", "/%2e%2e", "/%00", "/a%0A", "/%7F", "/%", "/%2", "/%zz", "/%+1",
        ] {
            assert_eq!(name(path), None, "{path}");
            assert_eq!(file_name(path, true), None, "{path}");
        }
    }

    #[test]
    fn hidden_names_are_refused_unless_asked_for_or_well_known() {
        for path in ["/.git/config", "/a/.env", "/a/.well-known/x", "/.well-known/.x", "/%2Ehtaccess"] {
            assert_eq!(name(path), None, "{path}");
            assert!(file_name(path, true).is_some(), "{path}");
        }
        assert_eq!(name("/.well-known/security.txt").as_deref(), Some(".well-known/security.txt"));
    }
}
