//! Operators and functions, as far as they can be judged before there is a request.

use std::net::IpAddr;

use cel::common::ast::{CallExpr, Expr, IdedExpr};
use ipnet::IpNet;
use regex::RegexBuilder;

use super::compile::{Compiler, Typed, demand, text_of};
use super::node::{Node, Operator, Pattern, Type};
use super::{Mistake, names};

/// Memory of one regular expression, compiled, by what a step pays for. It bounds what one byte of a text can cost.
const REGEX_A_STEP: usize = 4 << 10;
/// Steps for each byte at most.
const MAX_WEIGHT: usize = 32;
/// Addresses of one `in_network`: they are compared one by one.
const MAX_NETWORKS: usize = 64;

pub(super) fn compile(compiler: &mut Compiler<'_>, call: &CallExpr) -> Result<Typed, Mistake> {
    let name = call.func_name.as_str();
    // `a.f(b)` and `f(a, b)` are the same.
    let arguments: Vec<&IdedExpr> = call.target.as_deref().into_iter().chain(&call.args).collect();
    match (name, arguments.as_slice()) {
        ("_&&_", [left, right]) => {
            let sides = both(compiler, (left, right), "`&&`")?;
            Ok((Node::And(sides), Type::Bool))
        }
        ("_||_", [left, right]) => {
            let sides = both(compiler, (left, right), "`||`")?;
            Ok((Node::Or(sides), Type::Bool))
        }
        ("!_", [operand]) => {
            let (operand, kind) = compiler.compile(operand)?;
            demand(kind, Type::Bool, "`!`")?;
            Ok((Node::Not(Box::new(operand)), Type::Bool))
        }
        ("-_", [operand]) => negate(compiler.compile(operand)?),
        ("_?_:_", [condition, yes, no]) => conditional(compiler, (condition, yes, no)),
        ("matches", [text, pattern]) => matches(compiler, text, pattern),
        ("in_network", [address, networks]) => in_network(compiler, address, networks),
        (_, [left, right]) if names::operator(name).is_some() => binary(compiler, name, (left, right)),
        (_, arguments) => function(compiler, name, arguments),
    }
}

fn both(
    compiler: &mut Compiler<'_>,
    (left, right): (&IdedExpr, &IdedExpr),
    who: &str,
) -> Result<Box<(Node, Node)>, Mistake> {
    let (left, right) = (compiler.compile(left)?, compiler.compile(right)?);
    demand(left.1, Type::Bool, who)?;
    demand(right.1, Type::Bool, who)?;
    Ok(Box::new((left.0, right.0)))
}

fn negate((operand, kind): Typed) -> Result<Typed, Mistake> {
    if kind != Type::Any && kind != Type::Int && kind != Type::Double {
        return Err(Mistake::new(format!("`-` takes an integer or a double, not {}", kind.name())));
    }
    Ok((Node::Negate(Box::new(operand)), kind))
}

fn conditional(
    compiler: &mut Compiler<'_>,
    (condition, yes, no): (&IdedExpr, &IdedExpr, &IdedExpr),
) -> Result<Typed, Mistake> {
    let condition = compiler.compile(condition)?;
    demand(condition.1, Type::Bool, "`?`")?;
    let (yes, no) = (compiler.compile(yes)?, compiler.compile(no)?);
    let kind = if yes.1 == no.1 { yes.1 } else { Type::Any };
    Ok((Node::Conditional(Box::new((condition.0, yes.0, no.0))), kind))
}

fn binary(
    compiler: &mut Compiler<'_>,
    name: &str,
    (left, right): (&IdedExpr, &IdedExpr),
) -> Result<Typed, Mistake> {
    let Some((written, operator)) = names::operator(name) else {
        return Err(unknown(name));
    };
    let (left, right) = (compiler.compile(left)?, compiler.compile(right)?);
    let kind = match operator {
        Operator::Equal | Operator::Unequal => {
            if !left.1.may_equal(right.1) {
                return Err(sides(written, left.1, right.1, "which are never equal"));
            }
            Type::Bool
        }
        Operator::Less | Operator::LessOrEqual | Operator::Greater | Operator::GreaterOrEqual => {
            ordered(written, left.1, right.1)?
        }
        Operator::In => contained(left.1, right.1)?,
        Operator::Reckon(_) => reckoned(written, left.1, right.1)?,
    };
    Ok((Node::Binary(operator, Box::new((left.0, right.0))), kind))
}

fn ordered(written: &str, left: Type, right: Type) -> Result<Type, Mistake> {
    let is_open = left == Type::Any || right == Type::Any;
    let has_order = |kind: Type| kind.is_number() || matches!(kind, Type::Any | Type::Text | Type::Bool);
    let agree = is_open || left == right || (left.is_number() && right.is_number());
    if !agree || !has_order(left) || !has_order(right) {
        return Err(sides(written, left, right, "which have no order"));
    }
    Ok(Type::Bool)
}

fn reckoned(written: &str, left: Type, right: Type) -> Result<Type, Mistake> {
    let joins = |kind| written == "+" && matches!(kind, Type::Text | Type::Texts | Type::List);
    let can = |kind: Type| kind == Type::Any || kind.is_number() || joins(kind);
    let is_list = |kind| matches!(kind, Type::Texts | Type::List);
    let agree = left == right || left == Type::Any || right == Type::Any || (is_list(left) && is_list(right));
    if !agree || !can(left) || !can(right) {
        return Err(sides(written, left, right, "convert one with `int()`, `double()` or `string()`"));
    }
    Ok(match (left, right) {
        (Type::Any, other) | (other, Type::Any) => other,
        (left, right) if left == right => left,
        _ => Type::List,
    })
}

fn contained(left: Type, right: Type) -> Result<Type, Mistake> {
    let is_collection = matches!(right, Type::Any | Type::Texts | Type::List | Type::Texted | Type::Map);
    if !is_collection {
        return Err(Mistake::new(format!("`in` looks into a list or a map, not into {}", right.name())));
    }
    if !left.may_equal(right.element()) {
        return Err(sides("in", left, right.element(), "which are never equal"));
    }
    Ok(Type::Bool)
}

fn sides(written: &str, left: Type, right: Type, why: &str) -> Mistake {
    Mistake::new(format!("`{written}` stands between {} and {}: {why}", left.name(), right.name()))
}

fn matches(compiler: &mut Compiler<'_>, text: &IdedExpr, pattern: &IdedExpr) -> Result<Typed, Mistake> {
    let (text, kind) = compiler.compile(text)?;
    demand(kind, Type::Text, "`matches`")?;
    let Some(pattern) = text_of(pattern) else {
        return Err(Mistake::about("matches", "the pattern of `matches` is written out".to_owned()));
    };
    let pattern = weighed(pattern).map_err(|error| Mistake::about("matches", refused(&error)))?;
    Ok((Node::Matches(Box::new(text), Box::new(pattern)), Type::Bool))
}

/// Finds out how large an expression is by giving it more room until it fits: the crate does not say.
fn weighed(pattern: &str) -> Result<Pattern, regex::Error> {
    let mut weight = 1;
    loop {
        let built = RegexBuilder::new(pattern).size_limit(weight * REGEX_A_STEP).build();
        if matches!(built, Err(regex::Error::CompiledTooBig(_))) && weight < MAX_WEIGHT {
            weight *= 2;
            continue;
        }
        return built.map(|regex| Pattern { regex, weight });
    }
}

/// In one line: the crate draws a picture.
fn refused(error: &regex::Error) -> String {
    if let regex::Error::CompiledTooBig(_) = error {
        return "the regular expression is too large; use `[a-z0-9]` for `\\w`, and smaller counts"
            .to_owned();
    }
    let text = error.to_string();
    let last = text.lines().last().unwrap_or_default();
    format!("not a regular expression: {}", last.trim_start_matches("error: "))
}

fn in_network(compiler: &mut Compiler<'_>, address: &IdedExpr, list: &IdedExpr) -> Result<Typed, Mistake> {
    let (address, kind) = compiler.compile(address)?;
    if !matches!(kind, Type::Any | Type::Address | Type::Text) {
        return Err(Mistake::new(format!("`in_network` takes an address, not {}", kind.name())));
    }
    let written = || Mistake::about("in_network", "the networks of `in_network` are written out".to_owned());
    let texts: Vec<&str> = match &list.expr {
        Expr::List(list) => list.elements.iter().map(text_of).collect::<Option<_>>().ok_or_else(written)?,
        Expr::Unspecified
        | Expr::Call(_)
        | Expr::Comprehension(_)
        | Expr::Ident(_)
        | Expr::Literal(_)
        | Expr::Map(_)
        | Expr::Select(_)
        | Expr::Struct(_) => vec![text_of(list).ok_or_else(written)?],
    };
    if texts.len() > MAX_NETWORKS {
        return Err(Mistake::about(
            "in_network",
            format!("`in_network` takes {MAX_NETWORKS} networks at most"),
        ));
    }
    let networks = texts.into_iter().map(network).collect::<Result<_, _>>()?;
    Ok((Node::InNetwork(Box::new(address), networks), Type::Bool))
}

fn network(text: &str) -> Result<IpNet, Mistake> {
    let alone = || text.parse::<IpAddr>().ok().map(IpNet::from);
    let found = text.parse::<IpNet>().ok().or_else(alone);
    found.ok_or_else(|| Mistake::about(text, format!("`{text}` is no network; write `10.0.0.0/8`")))
}

fn function(compiler: &mut Compiler<'_>, name: &str, arguments: &[&IdedExpr]) -> Result<Typed, Mistake> {
    let known = names::function(name).ok_or_else(|| unknown(name))?;
    if arguments.len() != known.arguments {
        let (wanted, given) = (known.arguments, arguments.len());
        let message = format!("`{name}` takes {wanted} of what it is called on and with, not {given}");
        return Err(Mistake::about(name, message));
    }
    let arguments = arguments.iter().map(|argument| {
        let (argument, kind) = compiler.compile(argument)?;
        demand(kind, known.takes, &format!("`{name}`"))?;
        Ok(argument)
    });
    Ok((Node::Call(known.function, arguments.collect::<Result<_, Mistake>>()?), known.gives))
}

fn unknown(name: &str) -> Mistake {
    let name = name.trim_matches(['_', '@', '[', ']', '?', '.']);
    Mistake::about(name, format!("there is no function `{name}`; there are {}", names::functions()))
}
