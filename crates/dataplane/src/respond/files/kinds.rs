//! Content types by the ending of a name. The reference lists them; `types` of a route adds to them.

pub const UNKNOWN: &str = "application/octet-stream";

/// Text is UTF-8: that is what editors have written for two decades.
#[rustfmt::skip]
const KINDS: [(&str, &str); 50] = [
    ("7z", "application/x-7z-compressed"), ("aac", "audio/aac"), ("avif", "image/avif"), ("bmp", "image/bmp"),
    ("css", "text/css; charset=utf-8"), ("csv", "text/csv; charset=utf-8"), ("eot", "application/vnd.ms-fontobject"),
    ("epub", "application/epub+zip"), ("flac", "audio/flac"), ("geojson", "application/geo+json"), ("gif", "image/gif"),
    ("gz", "application/gzip"), ("htm", "text/html; charset=utf-8"), ("html", "text/html; charset=utf-8"),
    ("ico", "image/vnd.microsoft.icon"), ("ics", "text/calendar; charset=utf-8"), ("jpeg", "image/jpeg"),
    ("jpg", "image/jpeg"), ("js", "text/javascript; charset=utf-8"), ("json", "application/json"),
    ("jsonld", "application/ld+json"), ("jxl", "image/jxl"), ("map", "application/json"),
    ("md", "text/markdown; charset=utf-8"), ("mjs", "text/javascript; charset=utf-8"), ("mov", "video/quicktime"),
    ("mp3", "audio/mpeg"), ("mp4", "video/mp4"), ("oga", "audio/ogg"), ("ogg", "audio/ogg"), ("ogv", "video/ogg"),
    ("opus", "audio/ogg"), ("otf", "font/otf"), ("pdf", "application/pdf"), ("png", "image/png"),
    ("rss", "application/rss+xml"), ("svg", "image/svg+xml"), ("tar", "application/x-tar"),
    ("ttf", "font/ttf"), ("txt", "text/plain; charset=utf-8"), ("wasm", "application/wasm"), ("wav", "audio/wav"),
    ("weba", "audio/webm"), ("webm", "video/webm"), ("webmanifest", "application/manifest+json"),
    ("webp", "image/webp"), ("woff", "font/woff"), ("woff2", "font/woff2"), ("xml", "application/xml"),
    ("zip", "application/zip"),
];

/// `own` goes first; endings are compared without case.
pub fn content_type<'a>(name: &[u8], own: &'a [(Box<str>, Box<str>)]) -> &'a str {
    let last = name.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
    let Some(dot) = last.iter().rposition(|&byte| byte == b'.').filter(|dot| *dot > 0) else {
        return UNKNOWN;
    };
    let ending = last.get(dot + 1..).unwrap_or_default();
    let fits = |known: &str| known.as_bytes().eq_ignore_ascii_case(ending);
    let own = own.iter().find(|(known, _)| fits(known)).map(|(_, kind)| &**kind);
    own.or_else(|| KINDS.iter().find(|(known, _)| fits(known)).map(|(_, kind)| *kind)).unwrap_or(UNKNOWN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_ending_decides_without_case_and_ones_own_goes_first() {
        let own = [("css".into(), "text/x".into())];
        assert_eq!(content_type(b"a/b.min.JS", &own), "text/javascript; charset=utf-8");
        assert_eq!(content_type(b"b.css", &own), "text/x");
        for name in ["", "a", "a.js/b", ".html", "a.", "a.unknown"] {
            assert_eq!(content_type(name.as_bytes(), &own), UNKNOWN, "{name}");
        }
    }

    #[test]
    fn endings_are_in_order_and_there_once() {
        assert!(KINDS.windows(2).all(|pair| pair[0].0 < pair[1].0));
    }
}
