//! What a token says: one JSON object, read strictly. A member that is sent twice, at whatever depth, is refused, because two
//! readers could take either.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Claims(Map<String, Value>);

impl Claims {
    /// `None` where the bytes are not one JSON object, or name a member twice.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        match serde_json::from_slice(bytes).ok()? {
            Strict(Value::Object(members)) => Some(Self(members)),
            Strict(Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_)) => {
                None
            }
        }
    }

    /// The claim of exactly this name.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// The claim at a path such as `realm_access.roles`. Names may have dots themselves, as
    /// `https://id.example.com/roles` has: at each step the longest name that leads on is taken.
    pub fn find(&self, path: &str) -> Option<&Value> {
        find(&self.0, path)
    }

    /// Every claim, for those who look at more than one.
    pub fn members(&self) -> &Map<String, Value> {
        &self.0
    }
}

fn find<'a>(members: &'a Map<String, Value>, path: &str) -> Option<&'a Value> {
    let below = |(dot, _)| {
        let (name, rest) = path.split_at_checked(dot)?;
        find(members.get(name)?.as_object()?, rest.strip_prefix('.')?)
    };
    members.get(path).or_else(|| path.rmatch_indices('.').find_map(below))
}

impl From<Map<String, Value>> for Claims {
    fn from(members: Map<String, Value>) -> Self {
        Self(members)
    }
}

struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor).map(Self)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON without repeated members")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("no finite number"))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(Strict(value)) = list.next_element()? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut members = Map::new();
        while let Some((name, Strict(value))) = map.next_entry::<String, Strict>()? {
            if members.insert(name, value).is_some() {
                return Err(A::Error::custom("a member is repeated"));
            }
        }
        Ok(Value::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn claims(text: &str) -> Claims {
        Claims::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn a_claim_is_found_by_its_path() {
        let claims = claims(
            r#"{"sub": "ann", "realm_access": {"roles": ["admin"], "a": {"b": 1}},
                "https://id.example.com/claims": {"x.y": {"z": 2}}, "list": [{"a": 1}]}"#,
        );
        for (path, value) in [
            ("sub", json!("ann")),
            ("realm_access.roles", json!(["admin"])),
            ("realm_access.a.b", json!(1)),
            ("https://id.example.com/claims.x.y.z", json!(2)),
            ("https://id.example.com/claims.x.y", json!({"z": 2})),
        ] {
            assert_eq!(claims.find(path), Some(&value), "{path}");
        }
        for path in
            ["", ".", "sub.", "sub.x", ".sub", "realm_access.", "realm_access..roles", "list.0", "list.a"]
        {
            assert_eq!(claims.find(path), None, "{path:?}");
        }
    }

    #[test]
    fn of_two_names_that_a_path_could_mean_the_longest_counts() {
        let claims = claims(
            r#"{"a.b": {"c": 1}, "a": {"b": {"c": 2}, "b.d": 3}, "a.b.c": 4, "e.f": 5, "e": {"f": {"g": 6}}}"#,
        );
        assert_eq!(claims.find("a.b.c"), Some(&json!(4)));
        assert_eq!(claims.find("a.b"), Some(&json!({"c": 1})));
        assert_eq!(claims.find("a.b.d"), Some(&json!(3)));
        assert_eq!(claims.find("e.f.g"), Some(&json!(6)));
    }

    #[test]
    fn a_member_that_is_repeated_at_any_depth_is_refused() {
        for text in [
            r#"{"a": 1, "a": 1}"#,
            r#"{"a": {"b": 1, "b": 2}}"#,
            r#"{"a": [{"b": {"c": 1, "\u0063": 2}}]}"#,
            "[]",
            "null",
            "1",
            "{} x",
            "",
        ] {
            assert_eq!(Claims::parse(text.as_bytes()), None, "{text}");
        }
        let values = r#"{"a": [null, true, -1, 18446744073709551615, 1.5, "x", {}, []], "b": {"a": 1}}"#;
        assert_eq!(
            Value::Object(claims(values).members().clone()),
            serde_json::from_str::<Value>(values).unwrap()
        );
    }
}
