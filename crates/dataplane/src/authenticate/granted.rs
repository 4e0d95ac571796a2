//! The scopes and roles that a token grants.

use std::sync::Arc;

use serde_json::Value;

use crate::caller::{Roles, is_role, is_scope};
use crate::claims::Claims;
use crate::refusal::CredentialFault;

/// In the order granted, none twice. A claim is a text with spaces between scopes, or a list.
pub(super) fn scopes(paths: &[String], claims: &Claims) -> Result<Vec<Arc<str>>, CredentialFault> {
    collect(paths, claims, is_scope)
}

/// As scopes; the names in a list may have spaces, as those of directories do. `None` where there are none.
pub(super) fn roles(paths: &[String], claims: &Claims) -> Result<Option<Arc<Roles>>, CredentialFault> {
    let roles = collect(paths, claims, is_role)?;
    Ok((!roles.is_empty()).then(|| Arc::new(Roles::new(roles))))
}

fn collect(
    paths: &[String],
    claims: &Claims,
    is_good: fn(&str) -> bool,
) -> Result<Vec<Arc<str>>, CredentialFault> {
    let mut names: Vec<Arc<str>> = Vec::new();
    let mut add = |name: &str| {
        if !is_good(name) {
            return Err(CredentialFault::Malformed);
        }
        if !names.iter().any(|own| **own == *name) {
            names.push(name.into());
        }
        Ok(())
    };
    for value in paths.iter().filter_map(|path| claims.find(path)) {
        match value {
            Value::String(text) => text.split(' ').filter(|name| !name.is_empty()).try_for_each(&mut add)?,
            Value::Array(list) => {
                let text = |name: &Value| add(name.as_str().ok_or(CredentialFault::Malformed)?);
                list.iter().try_for_each(text)?;
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => {
                return Err(CredentialFault::Malformed);
            }
        }
    }
    Ok(names)
}
