use proptest::prelude::*;

use crate::tests::{outcome, places};
use crate::{Format, MAX_DEPTH, parse};

fn kdl(text: &str) -> String {
    outcome(text, Format::Kdl)
}

#[test]
fn nodes_become_the_data_that_yaml_would_give() {
    let cases = [
        ("timeout \"10s\"", "{timeout: \"10s\"}"),
        ("timeout 10s", "1:9: `10s` is not a number; quote it"),
        ("balance round_robin", "{balance: \"round_robin\"}"),
        ("methods \"GET\" \"POST\"", "{methods: [\"GET\", \"POST\"]}"),
        ("admin address=\"a:1\"", "{admin: {address: \"a:1\"}}"),
        ("admin {\n  address \"a:1\"\n}", "{admin: {address: \"a:1\"}}"),
        ("pool size=3 { idle \"60s\" }", "{pool: {size: 3, idle: \"60s\"}}"),
        ("pool", "{pool: {}}"),
        ("pool {}", "{pool: {}}"),
        ("a #true; b #false; c #null", "{a: true, b: false, c: null}"),
        (
            "a 1; b -2; c 0x1F; d 0o17; e 1.5; f 1e3; g 1_000; h 0b11",
            "{a: 1, b: -2, c: 31, d: 15, e: 1.5f, f: 1000.0f, g: 1000, h: 3}",
        ),
        (
            "instances { - \"a:1\"; - address=\"b:2\" weight=3; - { x 1 }; - 1 2 }",
            "{instances: [\"a:1\", {address: \"b:2\", weight: 3}, {x: 1}, [1, 2]]}",
        ),
        ("keys { file \"keys.json\"; }", "{keys: {file: \"keys.json\"}}"),
        ("\"quoted name\" 1", "{quoted name: 1}"),
        ("a key = 1", "{a: {key: 1}}"),
    ];
    for (text, expected) in cases {
        assert_eq!(kdl(text), expected, "{text}");
    }
}

#[test]
fn repeated_sections_collect_into_their_list() {
    let text = "tier \"fast\" limit=10\nroute \"a\" { service \"users\" }\ntier \"slow\" { limit 1 }\ntier limit=2\nroute b";
    assert_eq!(
        kdl(text),
        "{tiers: [{name: \"fast\", limit: 10}, {name: \"slow\", limit: 1}, {limit: 2}], routes: [{name: \"a\", service: \"users\"}, {name: \"b\"}]}"
    );
    assert_eq!(kdl("tiers {\n  - name=\"a\"\n}"), "{tiers: [{name: \"a\"}]}");
}

#[test]
fn comments_and_continued_lines_are_read_as_space() {
    let cases = [
        ("a 1 // b 2\nc 3", "{a: 1, c: 3}"),
        ("a /* x */ 1 /* /* nested \n */ */ 2", "{a: [1, 2]}"),
        ("a \\\n  1 \\ // why\n  2", "{a: [1, 2]}"),
        ("/- a 1\nb 2", "{b: 2}"),
        ("a /- 1 2", "{a: 2}"),
        ("a /- x=1 y=2", "{a: {y: 2}}"),
        ("a /- { x 1 } { y 2 }", "{a: {y: 2}}"),
        ("a { y 2 } /- { x 1 }", "{a: {y: 2}}"),
        ("/- a {\n  b { c 1 }\n}\nd 1", "{d: 1}"),
        ("a \"// no comment /* at all\"", "{a: \"// no comment /* at all\"}"),
    ];
    for (text, expected) in cases {
        assert_eq!(kdl(text), expected, "{text}");
    }
}

#[test]
fn strings_are_read_in_all_their_spellings() {
    let cases = [
        (r#"a "x\ty\u{1F600}\s\"""#, r#"{a: "x\ty😀 \""}"#),
        ("a \"x \\\n   y\"", r#"{a: "x y"}"#),
        (r##"a #"C:\dir "quoted""#"##, r#"{a: "C:\\dir \"quoted\""}"#),
        (r###"a ##"x"#y"##"###, r##"{a: "x\"#y"}"##),
        ("a \"\"\"\n  x\n    y \"z\"\n\n  \"\"\"", r#"{a: "x\n  y \"z\"\n"}"#),
        ("a #\"\"\"\n  \\x {\n  \"\"\"#", r#"{a: "\\x {"}"#),
        ("a \"\"\"\n\"\"\"", r#"{a: ""}"#),
        ("a \"\"\"\n x\\   y\n \"\"\"", r#"{a: "xy"}"#),
        ("a \"{[(\" \"}\"", r#"{a: ["{[(", "}"]}"#),
    ];
    for (text, expected) in cases {
        assert_eq!(kdl(text), expected, "{text}");
    }
}

const REFUSED: &[(&str, &str)] = &[
    ("a 1\nb 2\na 3", "3:1: `a` is repeated; first on line 1"),
    ("x a=1 a=2", "1:7: `a` is repeated; first on line 1"),
    ("x a=1 {\n  a 2\n}", "2:3: `a` is repeated; first on line 1"),
    ("route \"a\" name=\"b\"", "1:11: `name` is repeated; first on line 1"),
    ("route a b", "1:9: `route` takes one argument, its name"),
    (
        "tiers { - name=a }\ntier b",
        "2:1: `tiers` stands on line 1 already; put this one into its block as `-`",
    ),
    ("tier b\ntiers { - name=a }", "2:1: `tiers` is repeated; first on line 1"),
    (
        "pool \"p\" size=3",
        "1:6: an argument together with properties or a block; make it a property: `key=value`",
    ),
    ("- 1", "1:1: `-` is an element of a list; its block may hold nothing but `-`"),
    ("a x=1 { - 1 }", "1:3: a property beside elements `-`; a node is a map or a list, not both"),
    ("a (u8)1", "1:3: type annotations are not supported; leave `(...)` out"),
    ("(t)a 1", "1:1: type annotations are not supported; leave `(...)` out"),
    ("a true", "1:3: write `#true`, or \"true\" for the text"),
    ("a 9223372036854775808", "1:3: integer `9223372036854775808` does not fit into 64 bits; quote it"),
    ("a #inf", "1:3: this is not a finite number; quote it if it is a text"),
    ("a 1e999", "1:3: this is not a finite number; quote it if it is a text"),
    ("a {\n  b 1\n", "1:3: this block is not closed; add `}`"),
    ("a }", "1:3: `}` without a block to close"),
    ("a \"x", "1:3: this string is not closed on its line; close it, or use `\"\"\"` for several lines"),
    ("a \"\\q\"", "1:4: unknown escape; write `\\\\` for a backslash, or a raw string #\"...\"#"),
    ("a /* x", "1:3: this comment is not closed; add `*/`"),
    ("a \"b\"c", "1:6: a space is missing before this"),
    (
        "a \"\"\"\n x\\ \n \"\"\"",
        "2:3: escaped line ends are not supported in strings of several lines; join the lines",
    ),
    ("a {} b", "1:6: a block ends its node; begin a new line or add `;`"),
    ("1 2", "1:1: a node must begin with its name"),
    ("{ a 1 }", "1:1: a block needs the name of its node before it"),
    ("a b=\nc 1", "1:5: a value is missing after `=`"),
    ("a 😀 [1]", "1:5: `[` must be quoted: \"...\""),
    ("/- a {\n /- b 1\n}", "2:2: `/-` inside what another `/-` removes; use `//` or `/* */`"),
    ("/- a;", "1:5: a node that `/-` removes must end with its line, not with `;`"),
    ("/- a { b 1 };", "1:13: a node that `/-` removes must end with its line, not with `;`"),
    ("a;;", "1:3: `;` ends a node; there is none here"),
    ("a /-", "1:5: `/-` has nothing to remove"),
    (
        "a \"\"\"\n  x\n y\n  \"\"\"",
        "3:1: indent this line like the closing `\"\"\"`, or further, with the same white space",
    ),
];

#[test]
fn what_is_refused_says_where_and_what_would_work() {
    for (text, expected) in REFUSED {
        assert_eq!(kdl(text), *expected, "{text}");
    }
}

#[test]
fn all_repeated_names_are_reported_at_once() {
    let found = kdl("a 1\na 2\nb { c 1; c 2 }");
    assert_eq!(found, "2:1: `a` is repeated; first on line 1\n3:10: `c` is repeated; first on line 3");
}

#[test]
fn places_count_from_one_in_characters() {
    let cases = [
        ("\"😀\" é=1 {\r\n  b 2\r\n}", "{😀@1:1={é@1:5=1@1:7 b@2:3=2@2:5}@1:1}@1:1"),
        (
            "\u{feff}// c\r\nroute \"n\" p = \"v\"",
            "{routes@2:1=[{name@2:7=\"n\"@2:7 p@2:11=\"v\"@2:15}@2:1]@2:1}@2:1",
        ),
        ("a /* 😀 */ 1 2", "{a@1:1=[1@1:11 2@1:13]@1:11}@1:1"),
    ];
    for (text, expected) in cases {
        assert_eq!(places(&parse(text, Format::Kdl).unwrap()), expected, "{text:?}");
    }
}

#[test]
fn nesting_is_allowed_up_to_the_bound() {
    let nested = |depth: usize| format!("{}{}", "a {".repeat(depth), "}".repeat(depth));
    assert!(parse(&nested(MAX_DEPTH), Format::Kdl).is_ok());
    assert_eq!(kdl(&nested(MAX_DEPTH + 1)), "1:195: nested more than 64 levels deep; flatten it");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    /// The proof of `scan`: the library finds no fault with what it lets through, so it never begins to recover.
    #[test]
    fn the_library_accepts_what_the_scan_accepts(
        parts in prop::collection::vec(prop::sample::select(PARTS), 0..24)
    ) {
        let text = parts.concat();
        if let Ok(sound) = super::scan::check(&text) {
            prop_assert_eq!(sound.len(), text.len());
            let whole = [super::BEFORE, &sound, super::AFTER].concat();
            let read = ::kdl::KdlNode::parse(&whole);
            prop_assert!(read.is_ok(), "{:?}: {:?}", text, read.map_err(|error| error.diagnostics));
        }
    }
}

const PARTS: &[&str] = &[
    " \"\"\"\n",
    "\n \"\"\"",
    "\\ ",
    "\\\\",
    "\"",
    "#",
    "a",
    "b ",
    "- ",
    " ",
    " ",
    "=",
    " {",
    "}",
    "}",
    ";",
    "\n",
    "\n",
    " \"x }{\"",
    "\"\"\"\n  y\n  \"\"\"",
    " #\"z \"#",
    "#true",
    "// c\n",
    "/* * / */",
    " /- ",
    " /- ",
    "\\\n",
    " 1",
    " 1.5e-3",
    "0x1_f",
    "é",
    " k=1",
    " k = v",
    "\r\n",
    "{ a 1 }",
    ".",
];
