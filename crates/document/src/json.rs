//! The tree as JSON, for Python. The shape is described at `parse` in `_engine.pyi`.

use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::{Entry, Node, Problem, Value};

/// `{"document": NODE, "errors": []}`, or `null` and the problems.
pub fn to_json(result: Result<Node, Vec<Problem>>) -> Vec<u8> {
    let answer = match result {
        Ok(node) => Answer { document: Some(node), errors: Vec::new() },
        Err(errors) => Answer { document: None, errors },
    };
    // Writing to memory cannot fail, keys are texts and floats finite; an empty answer would not be JSON, so say it.
    serde_json::to_vec(&answer).unwrap_or_else(|_| {
        br#"{"document":null,"errors":[{"line":1,"column":1,"message":"cannot be written as JSON"}]}"#
            .to_vec()
    })
}

#[derive(serde::Serialize)]
struct Answer {
    document: Option<Node>,
    errors: Vec<Problem>,
}

impl Serialize for Problem {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(3))?;
        map.serialize_entry("line", &self.line)?;
        map.serialize_entry("column", &self.column)?;
        map.serialize_entry("message", &self.message)?;
        map.end()
    }
}

impl Serialize for Node {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(3))?;
        map.serialize_entry("line", &self.line)?;
        map.serialize_entry("column", &self.column)?;
        match &self.value {
            Value::Null => map.serialize_entry("value", &())?,
            Value::Bool(value) => map.serialize_entry("value", value)?,
            Value::Integer(value) => map.serialize_entry("value", value)?,
            Value::Float(value) => map.serialize_entry("value", value)?,
            Value::Text(value) => map.serialize_entry("value", value)?,
            Value::List(nodes) => map.serialize_entry("list", nodes)?,
            Value::Map(entries) => map.serialize_entry("map", entries)?,
        }
        map.end()
    }
}

impl Serialize for Entry {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(4))?;
        map.serialize_entry("key", &self.key)?;
        map.serialize_entry("line", &self.line)?;
        map.serialize_entry("column", &self.column)?;
        map.serialize_entry("value", &self.value)?;
        map.end()
    }
}
