//! What expressions may name, and what of it is known before there is a request.

use super::node::{Arithmetic, Function, Operator, Type, Variable};

/// The three things that an expression can speak of; each only together with one of its members.
pub(super) const ROOTS: [&str; 3] = ["caller", "request", "route"];

const CALLER: [(&str, Variable, Type); 9] = [
    ("kind", Variable::Kind, Type::Text),
    ("identity", Variable::Identity, Type::Text),
    ("user", Variable::User, Type::Text),
    ("partner", Variable::Partner, Type::Text),
    ("key_id", Variable::KeyId, Type::Text),
    ("tier", Variable::Tier, Type::Text),
    ("scopes", Variable::Scopes, Type::Texts),
    ("roles", Variable::Roles, Type::Texts),
    ("claims", Variable::Claims, Type::Map),
];

const REQUEST: [(&str, Variable, Type); 10] = [
    ("method", Variable::Method, Type::Text),
    ("path", Variable::Path, Type::Text),
    ("host", Variable::Host, Type::Text),
    ("scheme", Variable::Scheme, Type::Text),
    ("protocol", Variable::Protocol, Type::Text),
    ("client_ip", Variable::ClientIp, Type::Address),
    ("time", Variable::Time, Type::Int),
    ("tenant", Variable::Tenant, Type::Text),
    ("headers", Variable::Headers, Type::Texted),
    ("query", Variable::Query, Type::Texted),
];

/// A member of `caller` or `request`.
pub(super) fn variable(root: &str, member: &str) -> Option<(Variable, Type)> {
    let list = if root == "caller" { &CALLER[..] } else { &REQUEST[..] };
    let found = list.iter().find(|(name, _, _)| *name == member);
    found.map(|(_, variable, kind)| (*variable, *kind))
}

/// What a root has, for errors.
pub(super) fn members(root: &str) -> String {
    let list = match root {
        "caller" => &CALLER[..],
        "request" => &REQUEST[..],
        _ => return "`name`".to_owned(),
    };
    let mut names: Vec<String> = list.iter().map(|(name, _, _)| format!("`{name}`")).collect();
    if root == "request" {
        names.push("`params`".to_owned());
    }
    names.join(", ")
}

/// What an operator of two sides is called in a tree, and how it is written.
const OPERATORS: [(&str, &str, Operator); 12] = [
    ("_==_", "==", Operator::Equal),
    ("_!=_", "!=", Operator::Unequal),
    ("_<_", "<", Operator::Less),
    ("_<=_", "<=", Operator::LessOrEqual),
    ("_>_", ">", Operator::Greater),
    ("_>=_", ">=", Operator::GreaterOrEqual),
    ("_+_", "+", Operator::Reckon(Arithmetic::Add)),
    ("_-_", "-", Operator::Reckon(Arithmetic::Subtract)),
    ("_*_", "*", Operator::Reckon(Arithmetic::Multiply)),
    ("_/_", "/", Operator::Reckon(Arithmetic::Divide)),
    ("_%_", "%", Operator::Reckon(Arithmetic::Remainder)),
    ("@in", "in", Operator::In),
];

pub(super) fn operator(name: &str) -> Option<(&'static str, Operator)> {
    let found = OPERATORS.iter().find(|(known, _, _)| *known == name);
    found.map(|(_, written, operator)| (*written, *operator))
}

/// Name, arguments (with what it is called on), type of the first argument, type of all others, type of the result.
type Signature = (&'static str, Function, usize, Type, Type);

const FUNCTIONS: [Signature; 10] = [
    ("size", Function::Size, 1, Type::Any, Type::Int),
    ("contains", Function::Contains, 2, Type::Text, Type::Bool),
    ("startsWith", Function::StartsWith, 2, Type::Text, Type::Bool),
    ("endsWith", Function::EndsWith, 2, Type::Text, Type::Bool),
    ("lowerAscii", Function::Lower, 1, Type::Text, Type::Text),
    ("upperAscii", Function::Upper, 1, Type::Text, Type::Text),
    ("string", Function::ToText, 1, Type::Any, Type::Text),
    ("int", Function::ToInt, 1, Type::Any, Type::Int),
    ("uint", Function::ToUint, 1, Type::Any, Type::Uint),
    ("double", Function::ToDouble, 1, Type::Any, Type::Double),
];

pub(super) struct Known {
    pub(super) function: Function,
    pub(super) arguments: usize,
    pub(super) takes: Type,
    pub(super) gives: Type,
}

pub(super) fn function(name: &str) -> Option<Known> {
    let found = FUNCTIONS.iter().find(|(known, ..)| *known == name);
    found.map(|(_, function, arguments, takes, gives)| Known {
        function: *function,
        arguments: *arguments,
        takes: *takes,
        gives: *gives,
    })
}

/// For errors.
pub(super) fn functions() -> String {
    let own = ["matches", "in_network", "has", "exists", "all", "exists_one", "map", "filter"];
    let names = FUNCTIONS.iter().map(|(name, ..)| *name).chain(own);
    names.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
