//! Claims about both formats, and the small notation that the tests of each format compare in.

use proptest::prelude::*;

use super::*;

/// The tree without positions, like JSON with unquoted keys.
pub(crate) fn shape(node: &Node) -> String {
    match &node.value {
        Value::Null => "null".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Integer(value) => value.to_string(),
        Value::Float(value) => format!("{value:?}f"),
        Value::Text(value) => format!("{value:?}"),
        Value::List(nodes) => format!("[{}]", nodes.iter().map(shape).collect::<Vec<_>>().join(", ")),
        Value::Map(entries) => {
            let fields = entries.iter().map(|entry| format!("{}: {}", entry.key, shape(&entry.value)));
            format!("{{{}}}", fields.collect::<Vec<_>>().join(", "))
        }
    }
}

/// The tree, or every problem as `line:column: message`, one a line.
pub(crate) fn outcome(text: &str, format: Format) -> String {
    match parse(text, format) {
        Ok(node) => shape(&node),
        Err(problems) => {
            let lines =
                problems.iter().map(|found| format!("{}:{}: {}", found.line, found.column, found.message));
            lines.collect::<Vec<_>>().join("\n")
        }
    }
}

/// Every key and scalar with its place: `key@line:column=value@line:column`.
pub(crate) fn places(node: &Node) -> String {
    let at = format!("@{}:{}", node.line, node.column);
    match &node.value {
        Value::Map(entries) => {
            let fields = entries.iter().map(|entry| {
                format!("{}@{}:{}={}", entry.key, entry.line, entry.column, places(&entry.value))
            });
            format!("{{{}}}{at}", fields.collect::<Vec<_>>().join(" "))
        }
        Value::List(nodes) => format!("[{}]{at}", nodes.iter().map(places).collect::<Vec<_>>().join(" ")),
        Value::Null | Value::Bool(_) | Value::Integer(_) | Value::Float(_) | Value::Text(_) => {
            format!("{}{at}", shape(node))
        }
    }
}

const BOTH: [Format; 2] = [Format::Yaml, Format::Kdl];

#[test]
fn an_empty_text_is_an_empty_map_at_the_start() {
    for format in BOTH {
        for text in ["", "\u{feff}", "\n\n", "  \r\n"] {
            let node = parse(text, format).unwrap();
            assert_eq!(places(&node), "{}@1:1", "{text:?} as {format:?}");
        }
    }
}

#[test]
fn a_nul_is_refused_and_not_taken_for_the_end() {
    for format in BOTH {
        let found = outcome("a \"b\"\nc\0\nd", format);
        assert_eq!(found, "2:2: control character U+0000; write it as an escape in double quotes");
    }
}

#[test]
fn a_text_above_the_size_limit_is_refused_and_one_at_it_is_read() {
    for format in BOTH {
        let spaces = " ".repeat(MAX_BYTES);
        assert_eq!(outcome(&spaces, format), "{}");
        assert_eq!(
            outcome(&(spaces + " "), format),
            "1:1: the file is larger than 4 MiB; split it into several"
        );
    }
}

#[test]
fn formats_are_named_and_other_names_are_unknown() {
    assert_eq!(Format::named("yaml"), Some(Format::Yaml));
    assert_eq!(Format::named("kdl"), Some(Format::Kdl));
    assert_eq!(Format::named("YAML"), None);
}

#[test]
fn the_json_has_the_shape_that_python_reads() {
    let json = String::from_utf8(to_json(parse("a: [1, null]", Format::Yaml))).unwrap();
    assert_eq!(
        json,
        r#"{"document":{"line":1,"column":1,"map":[{"key":"a","line":1,"column":1,"value":{"line":1,"column":4,"list":[{"line":1,"column":5,"value":1},{"line":1,"column":8,"value":null}]}}]},"errors":[]}"#
    );
    let refused = String::from_utf8(to_json(parse("a: 1\na: 2", Format::Yaml))).unwrap();
    assert_eq!(
        refused,
        r#"{"document":null,"errors":[{"line":2,"column":1,"message":"key `a` is repeated; first on line 1"}]}"#
    );
}

#[test]
fn a_panic_while_reading_becomes_a_problem() {
    let found = contain(|| panic!("as a parser library might")).unwrap_err();
    assert_eq!(found.first().unwrap().message, "the parser failed on this text; simplify its syntax");
}

#[test]
fn deep_nesting_is_refused_without_using_up_the_stack() {
    for opening in ["[", "{", "- ", "? ", "{a: ", "[{b: [", "- - {"] {
        assert!(parse(&opening.repeat(100_000), Format::Yaml).is_err(), "{opening:?}");
    }
    for opening in ["[", "{", "a {", "a{", "a /-{", "a /- {\n", "/- a {", "(", "/*", "a \"\"\"\n {"] {
        assert!(parse(&opening.repeat(100_000), Format::Kdl).is_err(), "{opening:?}");
    }
}

#[test]
fn skipped_rubbish_does_not_use_up_the_stack() {
    for rubbish in [
        "}",
        "a )",
        "a {} b\n",
        "a b=\n",
        "\"\"\"\n",
        "a\"",
        "#\"",
        "/**/",
        "a; ",
        "a 1_x\n",
        "/- a {\n/- b\n}\n",
    ] {
        for format in BOTH {
            let _ = parse(&rubbish.repeat(30_000), format);
        }
    }
}

#[test]
fn a_long_comment_does_not_use_up_the_stack() {
    let stars = "* / ".repeat(200_000);
    assert_eq!(outcome(&format!("a 1 /*{stars}*/"), Format::Kdl), "{a: 1}");
}

#[test]
fn problems_are_counted_up_to_a_bound() {
    for (format, repeated) in [(Format::Yaml, "a: 1\n"), (Format::Kdl, "a 1\n")] {
        let found = parse(&repeated.repeat(5_000), format).unwrap_err();
        assert_eq!(found.len(), MAX_PROBLEMS, "{format:?}");
    }
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused_with_places_inside_it(text in any::<String>()) {
        for format in BOTH {
            inside(&text, format)?;
        }
    }

    #[test]
    fn any_yaml_like_text_is_read_or_refused(
        parts in prop::collection::vec(prop::sample::select(YAML_PARTS), 0..40)
    ) {
        inside(&parts.concat(), Format::Yaml)?;
    }

    #[test]
    fn any_kdl_like_text_is_read_or_refused(
        parts in prop::collection::vec(prop::sample::select(KDL_PARTS), 0..40)
    ) {
        inside(&parts.concat(), Format::Kdl)?;
    }
}

const YAML_PARTS: &[&str] = &[
    "a",
    "b",
    ": ",
    ":",
    "- ",
    "-",
    "\n",
    "\n  ",
    "\n    ",
    "[",
    "]",
    "{",
    "}",
    ", ",
    "\"",
    "'",
    "|\n",
    ">-\n",
    "&x ",
    "*x",
    "!!str ",
    "!t ",
    "#c",
    "? ",
    "---\n",
    "...\n",
    "%YAML 1.2\n",
    "\t",
    "\r\n",
    "1",
    "0x1F",
    "<<",
    "😀",
    "\\",
    "~",
];
const KDL_PARTS: &[&str] = &[
    "a",
    "b",
    "-",
    " ",
    "=",
    "{",
    "}",
    ";",
    "\n",
    "\"",
    "\"x\"",
    "\"\"\"",
    "#\"",
    "\"#",
    "#true",
    "#",
    "//",
    "/*",
    "*/",
    "/-",
    "\\",
    "\\\n",
    "1",
    "1.5e3",
    "0x",
    "_",
    "(t)",
    "😀",
    "\r\n",
    "route \"n\"",
    "\u{feff}",
    "\\u{41}",
    ".",
    "true",
];

/// Every problem names a place in the text, and none says that a library panicked.
fn inside(text: &str, format: Format) -> Result<(), TestCaseError> {
    let lines = text.split(['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}']).count().max(1);
    for found in parse(text, format).err().unwrap_or_default() {
        prop_assert!((1..=lines).contains(&found.line), "{found:?} in {text:?}");
        prop_assert!((1..=text.chars().count() + 2).contains(&found.column), "{found:?} in {text:?}");
        prop_assert!(!found.message.contains("the parser failed"), "{text:?}");
        prop_assert!(!found.message.ends_with('.'), "{found:?}");
    }
    Ok(())
}
