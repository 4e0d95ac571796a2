use crate::tests::{outcome, places};
use crate::{Format, MAX_DEPTH, parse};

fn yaml(text: &str) -> String {
    outcome(text, Format::Yaml)
}

const SCALARS: &[(&str, &str)] = &[
    // What YAML 1.1 would read as something else.
    ("no", "\"no\""),
    ("yes", "\"yes\""),
    ("on", "\"on\""),
    ("Off", "\"Off\""),
    ("y", "\"y\""),
    ("22:22", "\"22:22\""),
    ("017", "17"),
    ("0o17", "15"),
    ("2026-01-01", "\"2026-01-01\""),
    ("1e3", "1000.0f"),
    ("1_000", "\"1_000\""),
    ("0b11", "\"0b11\""),
    ("1.10", "1.1f"),
    ("1.2.3", "\"1.2.3\""),
    // Null and booleans, in the three spellings.
    ("null", "null"),
    ("~", "null"),
    ("NULL", "null"),
    ("nUll", "\"nUll\""),
    ("true", "true"),
    ("FALSE", "false"),
    ("tRue", "\"tRue\""),
    // Numbers.
    ("-5", "-5"),
    ("+5", "5"),
    ("0x1F", "31"),
    ("0x", "\"0x\""),
    ("-0x1F", "\"-0x1F\""),
    ("0o8", "\"0o8\""),
    (".5", "0.5f"),
    ("5.", "5.0f"),
    ("-1.5E-2", "-0.015f"),
    (".", "\".\""),
    ("+.e3", "\"+.e3\""),
    ("1e", "\"1e\""),
    ("infinity", "\"infinity\""),
    ("nan", "\"nan\""),
    ("9223372036854775807", "9223372036854775807"),
    ("-9223372036854775808", "-9223372036854775808"),
    // Quoted and block scalars are texts.
    ("\"5\"", "\"5\""),
    ("'true'", "\"true\""),
    ("''", "\"\""),
    ("|-\n  5", "\"5\""),
    (">-\n  a\n  b", "\"a b\""),
    // Core tags decide.
    ("!!str 5", "\"5\""),
    ("!!int \"5\"", "5"),
    ("!!float 5", "5.0f"),
    ("!!str", "\"\""),
    ("10s", "\"10s\""),
    ("64KiB", "\"64KiB\""),
];

#[test]
fn scalars_mean_what_the_core_schema_says() {
    for (text, expected) in SCALARS {
        assert_eq!(yaml(&format!("k: {text}")), format!("{{k: {expected}}}"), "{text}");
    }
}

#[test]
fn what_is_refused_says_where_and_what_would_work() {
    let cases = [
        ("a: 1\nb: 2\na: 3", "3:1: key `a` is repeated; first on line 1"),
        ("{a: 1, \"a\": 2}", "1:8: key `a` is repeated; first on line 1"),
        (
            "a: &x {b: 1}\nc:\n  <<: *x",
            "3:3: merge keys belong to YAML 1.1; repeat the fields or use an anchor on the whole value",
        ),
        ("? [a]\n: 1", "1:3: a list or map cannot be a key; use a text"),
        ("? {a: b}\n: 1", "1:3: a list or map cannot be a key; use a text"),
        ("a: &x b\n*x : c", "2:1: an alias cannot be a key; write the key itself"),
        (": 1", "1:1: a key is missing before `:`"),
        (
            "a: !secret b",
            "1:4: tag `!secret` is not possible here; leave it out or use `!!str`, `!!int`, `!!float`, `!!bool`, `!!null`",
        ),
        (
            "a: !!binary b",
            "1:4: tag `!!binary` is not possible here; leave it out or use `!!str`, `!!int`, `!!float`, `!!bool`, `!!null`",
        ),
        ("a: !!map [1]", "1:4: tag `!!map` is not possible here; leave it out or use `!!seq`"),
        ("a: !!int b", "1:4: `b` is not a value of the tag `!!int`"),
        ("a: 9223372036854775808", "1:4: integer `9223372036854775808` does not fit into 64 bits; quote it"),
        ("a: .inf", "1:4: `.inf` is not a finite number; quote it if it is a text"),
        ("a: 1e999", "1:4: `1e999` is not a finite number; quote it if it is a text"),
        ("a: 1\n---\nb: 2", "2:1: a second document; put each into a file of its own"),
        ("a: &x [*x]", "1:8: an alias inside its own anchor never ends; write the value"),
        // The parser counts three lines in this text.
        (": a|\n? ", "1:1: a key is missing before `:`\n2:3: a key is missing before `:`"),
        ("a: *x", "1:4: while parsing node, found unknown anchor"),
    ];
    for (text, expected) in cases {
        assert_eq!(yaml(text), expected, "{text}");
    }
}

#[test]
fn all_repeated_keys_are_reported_at_once() {
    let found = yaml("a: 1\na: 2\nb:\n  c: 1\n  c: 2\na: 3");
    assert_eq!(
        found,
        "2:1: key `a` is repeated; first on line 1\n5:3: key `c` is repeated; first on line 4\n6:1: key `a` is repeated; first on line 1"
    );
}

#[test]
fn a_quoted_merge_key_is_an_ordinary_key() {
    assert_eq!(yaml("\"<<\": 1"), "{<<: 1}");
}

#[test]
fn places_count_from_one_in_characters() {
    let cases = [
        ("a: 1\nb:\n  - x\n  - y: z", "{a@1:1=1@1:4 b@2:1=[\"x\"@3:5 {y@4:5=\"z\"@4:8}@4:5]@3:3}@1:1"),
        ("\"😀\": {é: 1, b: 2}", "{😀@1:1={é@1:7=1@1:10 b@1:13=2@1:16}@1:6}@1:1"),
        ("\u{feff}a: 1\r\nb: 2\r\n", "{a@1:1=1@1:4 b@2:1=2@2:4}@1:1"),
        ("a:\n\nb:", "{a@1:1=null@1:1 b@3:1=null@3:1}@1:1"),
        ("a: &x [1]\nb: *x", "{a@1:1=[1@1:8]@1:4 b@2:1=[1@1:8]@2:4}@1:1"),
    ];
    for (text, expected) in cases {
        assert_eq!(places(&parse(text, Format::Yaml).unwrap()), expected, "{text:?}");
    }
}

#[test]
fn a_tab_as_indentation_is_refused_at_its_line() {
    let problems = parse("a:\n\tb: 1", Format::Yaml).unwrap_err();
    assert_eq!(problems.first().unwrap().line, 2, "{problems:?}");
}

#[test]
fn anchors_repeat_whole_values() {
    assert_eq!(yaml("a: &x {b: &y 1}\nc: *x\nd: [*y, *x]"), "{a: {b: 1}, c: {b: 1}, d: [1, {b: 1}]}");
    assert_eq!(yaml("&k a: 1\nb: *k"), "{a: 1, b: \"a\"}");
}

#[test]
fn aliases_that_multiply_are_refused() {
    let mut bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x]\n".to_owned();
    for level in 1..20 {
        let below = format!("*a{},", level - 1).repeat(9);
        bomb.push_str(&format!("a{level}: &a{level} [{below}]\n"));
    }
    assert_eq!(yaml(&bomb), "6:10: aliases expand to more than 100000 nodes; use fewer");
}

#[test]
fn aliases_that_only_deepen_are_refused() {
    let mut tower = "a0: &a0 [x]\n".to_owned();
    for level in 1..100 {
        tower.push_str(&format!("a{level}: &a{level} [*a{}]\n", level - 1));
    }
    assert!(yaml(&tower).ends_with("this alias nests more than 64 levels deep; flatten it"));
}

#[test]
fn nesting_is_allowed_up_to_the_bound() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(parse(&nested(MAX_DEPTH), Format::Yaml).is_ok());
    assert_eq!(yaml(&nested(MAX_DEPTH + 1)), "1:65: nested more than 64 levels deep; flatten it");
}

#[test]
fn json_is_read_as_the_yaml_that_it_is() {
    let json = "{\r\n\t\"a\": [1, 2.5, -3e2, true, null],\n\t\"b\": {\"c\": \"x\\ty\\/\\u00e9\"}\n}\n";
    assert_eq!(yaml(json), "{a: [1, 2.5f, -300.0f, true, null], b: {c: \"x\\ty/é\"}}");
}
