//! `exists`, `all`, `exists_one`, `map` and `filter`. The parser writes them out as loops with an accumulator; they are
//! read back here, so that each runs over its elements once and builds nothing that it does not give.

use cel::common::ast::{ComprehensionExpr, Expr, IdedExpr, LiteralValue};

use super::Mistake;
use super::compile::{Compiler, Typed, demand};
use super::node::{Loop, LoopKind, Node, Type};

/// Loops within each other.
const MAX_LOOPS: usize = 2;

pub(super) fn compile(compiler: &mut Compiler<'_>, loops: &ComprehensionExpr) -> Result<Typed, Mistake> {
    let unknown = || Mistake::new("a loop of this form is not known".to_owned());
    let shape = shape(loops).ok_or_else(unknown)?;
    let (range, kind) = compiler.compile(&loops.iter_range)?;
    if !matches!(kind, Type::Any | Type::Texts | Type::List | Type::Texted | Type::Map) {
        let message = format!("a loop goes over a list or the keys of a map, not over {}", kind.name());
        return Err(Mistake::about(&loops.iter_var, message));
    }
    if compiler.locals.len() == MAX_LOOPS {
        let message =
            format!("more than {MAX_LOOPS} of `exists`, `all`, `map` and `filter` within each other");
        return Err(Mistake::about(&loops.iter_var, message));
    }
    compiler.locals.push((loops.iter_var.clone(), kind.element()));
    let body = compiler.compile(shape.body);
    let filter = shape.filter.map(|filter| compiler.compile(filter));
    compiler.locals.pop();
    let (body, gives) = body?;
    let filter = filter.transpose()?;
    if let Some((_, kind)) = &filter {
        demand(*kind, Type::Bool, "the condition of `map` and `filter`")?;
    }
    let kind = match shape.kind {
        LoopKind::Exists | LoopKind::All | LoopKind::ExistsOne => {
            demand(gives, Type::Bool, "the condition of a loop")?;
            Type::Bool
        }
        LoopKind::Map if gives == Type::Text => Type::Texts,
        LoopKind::Map => Type::List,
    };
    let filter = filter.map(|(filter, _)| filter);
    Ok((Node::Loop(Box::new(Loop { kind: shape.kind, range, filter, body })), kind))
}

struct Shape<'t> {
    kind: LoopKind,
    filter: Option<&'t IdedExpr>,
    body: &'t IdedExpr,
}

fn shape(loops: &ComprehensionExpr) -> Option<Shape<'_>> {
    if loops.iter_var2.is_some() {
        return None;
    }
    let (name, arguments) = call(&loops.loop_step)?;
    match (&loops.accu_init.expr, name, arguments) {
        (Expr::Literal(LiteralValue::Boolean(_)), "_||_", [_, body]) => {
            Some(Shape { kind: LoopKind::Exists, filter: None, body })
        }
        (Expr::Literal(LiteralValue::Boolean(_)), "_&&_", [_, body]) => {
            Some(Shape { kind: LoopKind::All, filter: None, body })
        }
        (Expr::Literal(LiteralValue::Int(_)), "_?_:_", [body, _, _]) => {
            Some(Shape { kind: LoopKind::ExistsOne, filter: None, body })
        }
        (Expr::List(_), "_+_", [_, added]) => {
            Some(Shape { kind: LoopKind::Map, filter: None, body: only(added)? })
        }
        (Expr::List(_), "_?_:_", [filter, step, _]) => {
            let (_, sides) = call(step)?;
            let [_, added] = sides else { return None };
            Some(Shape { kind: LoopKind::Map, filter: Some(filter), body: only(added)? })
        }
        _ => None,
    }
}

fn call(tree: &IdedExpr) -> Option<(&str, &[IdedExpr])> {
    if let Expr::Call(call) = &tree.expr { Some((&call.func_name, &call.args)) } else { None }
}

/// What is added: a list of one.
fn only(tree: &IdedExpr) -> Option<&IdedExpr> {
    let Expr::List(list) = &tree.expr else { return None };
    if let [one] = list.elements.as_slice() { Some(one) } else { None }
}
