//! Checks expressions of rules without a snapshot, for whoever writes a configuration.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::authorize::{Ground, Mistake, examine};
use crate::engine::EngineError;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ExpressionDocument {
    expression: String,
    route: String,
    parameters: Vec<String>,
}

/// Expressions come and mistakes go as JSON lists; the shapes are those of `_engine.pyi`.
pub fn check_expressions(expressions: &[u8]) -> Result<Vec<u8>, EngineError> {
    let expressions: Vec<ExpressionDocument> = serde_json::from_slice(expressions)
        .map_err(|error| EngineError::Engine(format!("expressions: {error}")))?;
    let found: Vec<Value> = expressions.iter().map(check).collect();
    Ok(Value::from(found).to_string().into_bytes())
}

fn check(document: &ExpressionDocument) -> Value {
    let ground = Ground { route: &document.route, parameters: &document.parameters };
    match examine(&document.expression, ground) {
        Ok(()) => Value::Null,
        Err(Mistake { message, place, .. }) => {
            let (line, column) = place.unzip();
            json!({"message": message, "line": line, "column": column})
        }
    }
}
