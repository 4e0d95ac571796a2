//! What a configuration grants to a caller by name.

use std::sync::Arc;

use crate::caller::{Roles, is_role, is_scope};

pub(super) fn scopes(list: &[String]) -> Result<Vec<Arc<str>>, String> {
    if let Some(scope) = list.iter().find(|scope| !is_scope(scope)) {
        return Err(format!("the scope `{scope}` is not visible ASCII without spaces"));
    }
    Ok(list.iter().map(|scope| scope.as_str().into()).collect())
}

/// `None` where there are none.
pub(super) fn roles(list: &[String]) -> Result<Option<Arc<Roles>>, String> {
    if let Some(role) = list.iter().find(|role| !is_role(role)) {
        return Err(format!("the role `{role}` cannot be sent in a header with others"));
    }
    let mut roles: Vec<Arc<str>> = Vec::with_capacity(list.len());
    for role in list {
        if !roles.iter().any(|other| **other == **role) {
            roles.push(role.as_str().into());
        }
    }
    Ok((!roles.is_empty()).then(|| Arc::new(Roles::new(roles))))
}
