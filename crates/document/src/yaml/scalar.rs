//! The YAML 1.2 core schema: what a scalar means. YAML 1.1 readings (`yes`, `22:22`, dates) stay text.

use saphyr_parser::{ScalarStyle, Tag};

use crate::Value;

/// The meaning of a scalar as written, or why it has none.
pub(super) fn resolve(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Result<Value, String> {
    match (tag, style) {
        (Some(tag), _) => tagged(text, tag),
        (None, ScalarStyle::Plain) => plain(text),
        (
            None,
            ScalarStyle::SingleQuoted
            | ScalarStyle::DoubleQuoted
            | ScalarStyle::Literal
            | ScalarStyle::Folded,
        ) => Ok(Value::Text(text.to_owned())),
    }
}

/// Refuses every tag but `!!name` of the core schema with one of these names.
pub(super) fn demand_core(tag: Option<&Tag>, names: &[&str]) -> Result<(), String> {
    match tag {
        None => Ok(()),
        Some(tag) if tag.is_yaml_core_schema() && names.contains(&tag.suffix.as_str()) => Ok(()),
        Some(tag) => Err(format!("tag `{}` is not possible here; {}", written(tag), possible(names))),
    }
}

pub(super) const SCALAR_TAGS: [&str; 5] = ["str", "int", "float", "bool", "null"];

fn possible(names: &[&str]) -> String {
    let names: Vec<String> = names.iter().map(|name| format!("`!!{name}`")).collect();
    format!("leave it out or use {}", names.join(", "))
}

fn written(tag: &Tag) -> String {
    if tag.is_yaml_core_schema() {
        format!("!!{}", tag.suffix)
    } else {
        format!("{}{}", tag.handle, tag.suffix)
    }
}

fn tagged(text: &str, tag: &Tag) -> Result<Value, String> {
    demand_core(Some(tag), &SCALAR_TAGS)?;
    let refused = || Err(format!("`{text}` is not a value of the tag `{}`", written(tag)));
    if tag.suffix == "str" {
        return Ok(Value::Text(text.to_owned()));
    }
    match (tag.suffix.as_str(), plain(text)?) {
        ("int", value @ Value::Integer(_))
        | ("float", value @ Value::Float(_))
        | ("bool", value @ Value::Bool(_))
        | ("null", value @ Value::Null) => Ok(value),
        ("float", Value::Integer(_)) => float(text).unwrap_or_else(refused),
        (_, _) => refused(),
    }
}

fn plain(text: &str) -> Result<Value, String> {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Ok(Value::Null),
        "true" | "True" | "TRUE" => Ok(Value::Bool(true)),
        "false" | "False" | "FALSE" => Ok(Value::Bool(false)),
        _ => integer(text).or_else(|| float(text)).unwrap_or_else(|| Ok(Value::Text(text.to_owned()))),
    }
}

/// `None` where the text is not spelled like an integer of the core schema.
fn integer(text: &str) -> Option<Result<Value, String>> {
    let (digits, radix) = if let Some(octal) = text.strip_prefix("0o") {
        (octal, 8)
    } else if let Some(hexadecimal) = text.strip_prefix("0x") {
        (hexadecimal, 16)
    } else {
        (unsigned(text), 10)
    };
    if digits.is_empty() || !digits.chars().all(|digit| digit.is_digit(radix)) {
        return None;
    }
    let number = if radix == 10 { text.parse() } else { i64::from_str_radix(digits, radix) };
    Some(
        number
            .map(Value::Integer)
            .map_err(|_| format!("integer `{text}` does not fit into 64 bits; quote it")),
    )
}

/// `[-+]? ( \. [0-9]+ | [0-9]+ ( \. [0-9]* )? ) ( [eE] [-+]? [0-9]+ )?`, and the names of infinity and not-a-number.
fn float(text: &str) -> Option<Result<Value, String>> {
    let refused = || Some(Err(format!("`{text}` is not a finite number; quote it if it is a text")));
    let body = unsigned(text);
    if matches!(body, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN") {
        return refused();
    }
    let (mantissa, exponent) = match body.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(unsigned(exponent))),
        None => (body, None),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let spelled = digits(whole) && digits(fraction) && !(whole.is_empty() && fraction.is_empty());
    if !spelled || exponent.is_some_and(|digits_of| digits_of.is_empty() || !digits(digits_of)) {
        return None;
    }
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() => Some(Ok(Value::Float(number))),
        Ok(_) | Err(_) => refused(),
    }
}

fn digits(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

fn unsigned(text: &str) -> &str {
    text.strip_prefix(['-', '+']).unwrap_or(text)
}
