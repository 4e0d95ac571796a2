use proptest::prelude::*;

use super::*;

const NAMES: [&str; 3] = ["zstd", "br", "gzip"];

fn html_and_json(accept: &str) -> (u16, u16) {
    let values = || std::iter::once(accept.as_bytes());
    (media_quality(values(), "text", "html"), media_quality(values(), "application", "json"))
}

fn best(accept: &str) -> Option<&'static str> {
    let codings = Codings::read(std::iter::once(accept.as_bytes()), NAMES);
    codings.best(0..3).map(|place| NAMES[place])
}

#[test]
fn browsers_rather_have_html_and_programs_do_not_care() {
    let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8";
    assert_eq!(html_and_json(browser), (1000, 800));
    assert_eq!(html_and_json("*/*"), (1000, 1000));
    assert_eq!(html_and_json("application/json"), (0, 1000));
    assert_eq!(html_and_json(""), (1000, 1000));
    assert_eq!(html_and_json("TEXT/*;q=0.5, */*;q=0.1"), (500, 100));
    assert_eq!(html_and_json("text/*, text/html;q=0"), (0, 0));
    assert_eq!(html_and_json("text/html;level=1;Q=0.7, text/plain"), (700, 0));
}

#[test]
fn a_malformed_quality_says_nothing() {
    for quality in ["2", "1.001", "0.1234", "-1", "", "0.x", ".5", "1.", "q"] {
        let (html, _) = html_and_json(&format!("text/html;q={quality}, */*;q=0.3"));
        assert_eq!(html, if quality == "1." { 1000 } else { 300 }, "{quality}");
    }
}

#[test]
fn codings_are_chosen_by_quality_then_by_our_order() {
    for (accept, expected) in [
        ("gzip, br, zstd", Some("zstd")),
        ("gzip, br;q=0.9, zstd;q=0.9", Some("gzip")),
        ("gzip;q=0", None),
        ("x-gzip", Some("gzip")),
        ("GZIP", Some("gzip")),
        ("*", Some("zstd")),
        ("*;q=0.5, br", Some("br")),
        ("zstd;q=0, *", Some("br")),
        ("*;q=0", None),
        ("identity, gzip;q=0.5", None),
        ("identity;q=0.5, gzip;q=0.5", Some("gzip")),
        ("identity;q=0, gzip;q=0.1", Some("gzip")),
        ("deflate", None),
        ("", None),
    ] {
        assert_eq!(best(accept), expected, "{accept:?}");
    }
    assert_eq!(Codings::read(std::iter::empty(), NAMES).best(0..3), None);
}

/// The same rules as sentences, on what the header was made from.
fn reference(elements: &[(&str, u16)]) -> Option<&'static str> {
    let of =
        |name: &str| elements.iter().filter(|(other, _)| *other == name).map(|(_, quality)| *quality).max();
    let quality = |name: &str| of(name).or(of("*")).unwrap_or(0);
    let best = NAMES.iter().map(|name| quality(name)).max().filter(|quality| *quality > 0)?;
    let identity = of("identity").unwrap_or(0);
    NAMES.into_iter().find(|name| quality(name) == best).filter(|_| best >= identity)
}

fn element() -> impl Strategy<Value = (&'static str, u16)> {
    let name = prop::sample::select(vec!["zstd", "br", "gzip", "*", "identity", "deflate"]);
    (name, prop::sample::select(vec![0, 1, 100, 500, 999, 1000]))
}

proptest! {
    #[test]
    fn generated_lists_are_judged_as_the_reference_judges(
        elements in prop::collection::vec(element(), 0..6), space in "[ \t]{0,2}",
    ) {
        let texts: Vec<String> = elements
            .iter()
            .map(|(name, quality)| format!("{name}{space};{space}q={}.{:03}", quality / 1000, quality % 1000))
            .collect();
        prop_assert_eq!(best(&texts.join(&format!("{space},{space}"))), reference(&elements));
    }

    #[test]
    fn no_text_does_harm(text in prop::collection::vec(any::<u8>(), 0..60)) {
        let quality = media_quality(std::iter::once(&text[..]), "text", "html");
        prop_assert!(quality <= BEST);
        let codings = Codings::read(std::iter::once(&text[..]), NAMES);
        prop_assert!(codings.qualities.iter().all(|quality| *quality <= BEST));
    }
}
