//! The tree of an expression to one in which every name is resolved. What can be known to fail is refused here.

use cel::common::ast::{CallExpr, Expr, IdedExpr, ListExpr, LiteralValue, SelectExpr};

use super::node::{Literal, Node, Type, Variable};
use super::{Ground, Mistake, calls, loops, names};

/// Operators, calls and selections within each other.
const MAX_DEPTH: usize = 100;

pub(super) type Typed = (Node, Type);

/// The compilation of one expression.
pub(super) struct Compiler<'a> {
    ground: &'a Ground<'a>,
    /// Variables of the loops around, the outermost first.
    pub(super) locals: Vec<(String, Type)>,
    depth: usize,
}

impl<'a> Compiler<'a> {
    pub(super) fn new(ground: &'a Ground<'a>) -> Self {
        Self { ground, locals: Vec::new(), depth: 0 }
    }

    pub(super) fn compile(&mut self, tree: &IdedExpr) -> Result<Typed, Mistake> {
        if self.depth == MAX_DEPTH {
            return Err(Mistake::new(format!(
                "more than {MAX_DEPTH} operators in one chain; split the rule, or use `in` with a list"
            )));
        }
        self.depth += 1;
        let compiled = self.node(&tree.expr);
        self.depth -= 1;
        compiled
    }

    fn node(&mut self, expression: &Expr) -> Result<Typed, Mistake> {
        match expression {
            Expr::Unspecified => Err(Mistake::new("the expression is empty".to_owned())),
            Expr::Call(call) => self.call(call),
            Expr::Comprehension(comprehension) => loops::compile(self, comprehension),
            Expr::Ident(name) => self.identifier(name),
            Expr::List(list) => self.list(list),
            Expr::Literal(value) => literal(value),
            Expr::Map(_) | Expr::Struct(_) => {
                Err(Mistake::new("expressions here cannot write maps and messages (`{...}`)".to_owned()))
            }
            Expr::Select(select) => self.select(select),
        }
    }

    fn call(&mut self, call: &CallExpr) -> Result<Typed, Mistake> {
        if let ("_[_]", [operand, index]) = (call.func_name.as_str(), call.args.as_slice()) {
            return self.index(operand, index);
        }
        calls::compile(self, call)
    }

    fn identifier(&self, name: &str) -> Result<Typed, Mistake> {
        if let Some(index) = self.locals.iter().rposition(|(local, _)| local == name) {
            let kind = self.locals.get(index).map_or(Type::Any, |(_, kind)| *kind);
            return Ok((Node::Local(index), kind));
        }
        if names::ROOTS.contains(&name) {
            let members = names::members(name);
            return Err(Mistake::about(name, format!("`{name}` alone is no value; it has {members}")));
        }
        let roots = "`caller`, `request` and `route`";
        Err(Mistake::about(name, format!("there is no `{name}`; expressions speak of {roots}")))
    }

    fn list(&mut self, list: &ListExpr) -> Result<Typed, Mistake> {
        let elements = list.elements.iter().map(|element| self.compile(element));
        let elements = elements.collect::<Result<Vec<_>, _>>()?;
        let is_texts = elements.iter().all(|(_, kind)| *kind == Type::Text);
        let kind = if is_texts { Type::Texts } else { Type::List };
        Ok((Node::List(elements.into_iter().map(|(node, _)| node).collect()), kind))
    }

    /// The root that this is the name of, where no variable of a loop hides it.
    fn root<'t>(&self, tree: &'t IdedExpr) -> Option<&'t str> {
        let Expr::Ident(name) = &tree.expr else { return None };
        let is_hidden = self.locals.iter().any(|(local, _)| local == name);
        (names::ROOTS.contains(&name.as_str()) && !is_hidden).then_some(name.as_str())
    }

    fn is_parameters(&self, tree: &IdedExpr) -> bool {
        let Expr::Select(select) = &tree.expr else { return false };
        select.field == "params" && !select.test && self.root(&select.operand) == Some("request")
    }

    fn select(&mut self, select: &SelectExpr) -> Result<Typed, Mistake> {
        if self.is_parameters(&select.operand) {
            let (parameter, kind) = self.parameter(&select.field)?;
            return Ok(if select.test {
                (Node::Literal(Literal::Bool(true)), Type::Bool)
            } else {
                (parameter, kind)
            });
        }
        if let Some(root) = self.root(&select.operand) {
            return self.known(root, select);
        }
        let operand = self.compile(&select.operand)?;
        member(operand, &select.field, select.test)
    }

    fn known(&self, root: &str, select: &SelectExpr) -> Result<Typed, Mistake> {
        let field = select.field.as_str();
        if (root, field) == ("route", "name") {
            let name = (Node::Literal(Literal::Text(self.ground.route.into())), Type::Text);
            return Ok(if select.test { (Node::Literal(Literal::Bool(true)), Type::Bool) } else { name });
        }
        if (root, field) == ("request", "params") {
            return Err(Mistake::about(
                field,
                "of `request.params` name one: `request.params.id`".to_owned(),
            ));
        }
        let Some((variable, kind)) = names::variable(root, field) else {
            let members = names::members(root);
            return Err(Mistake::about(field, format!("there is no `{root}.{field}`; there are {members}")));
        };
        Ok(if select.test { (Node::IsKnown(variable), Type::Bool) } else { (Node::Variable(variable), kind) })
    }

    fn parameter(&self, name: &str) -> Result<Typed, Mistake> {
        if let Some(place) = self.ground.parameters.iter().position(|known| *known == name) {
            return Ok((Node::Variable(Variable::Parameter(place)), Type::Text));
        }
        let known: Vec<String> = self.ground.parameters.iter().map(|known| format!("`{known}`")).collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        Err(Mistake::about(name, format!("the path of the route names no `{name}`; it names {known}")))
    }

    fn index(&mut self, operand: &IdedExpr, index: &IdedExpr) -> Result<Typed, Mistake> {
        let key = text_of(index);
        if self.is_parameters(operand) {
            let key =
                key.ok_or_else(|| Mistake::about("params", "a parameter is named by a text".to_owned()))?;
            return self.parameter(key);
        }
        let operand = self.compile(operand)?;
        if let (Some(key), true) = (key, !matches!(operand.1, Type::Texts | Type::List)) {
            return member(operand, key, false);
        }
        let index = self.compile(index)?;
        let wanted = match operand.1 {
            Type::Texts | Type::List => Type::Int,
            Type::Texted | Type::Map => Type::Text,
            Type::Any => Type::Any,
            Type::Null | Type::Bool | Type::Int | Type::Uint | Type::Double | Type::Text | Type::Address => {
                return Err(Mistake::new(format!("`[...]` is for lists and maps, not {}", operand.1.name())));
            }
        };
        demand(index.1, wanted, "`[...]`")?;
        let kind = if operand.1 == Type::Map { Type::Any } else { operand.1.element() };
        Ok((Node::Index(Box::new((operand.0, index.0))), kind))
    }
}

/// A member of a map by a name that is known.
fn member((operand, kind): Typed, field: &str, test: bool) -> Result<Typed, Mistake> {
    let gives = match kind {
        Type::Texted => Type::Text,
        Type::Map | Type::Any => Type::Any,
        Type::Null
        | Type::Bool
        | Type::Int
        | Type::Uint
        | Type::Double
        | Type::Text
        | Type::Address
        | Type::Texts
        | Type::List => {
            return Err(Mistake::about(field, format!("{} has no member `{field}`", kind.name())));
        }
    };
    let operand = Box::new(operand);
    Ok(if test {
        (Node::HasMember(operand, field.into()), Type::Bool)
    } else {
        (Node::Member(operand, field.into()), gives)
    })
}

fn literal(value: &LiteralValue) -> Result<Typed, Mistake> {
    let (literal, kind) = match value {
        LiteralValue::Boolean(value) => (Literal::Bool(*value.inner()), Type::Bool),
        LiteralValue::Double(value) => (Literal::Double(*value.inner()), Type::Double),
        LiteralValue::Int(value) => (Literal::Int(*value.inner()), Type::Int),
        LiteralValue::Null => (Literal::Null, Type::Null),
        LiteralValue::String(value) => (Literal::Text(value.inner().into()), Type::Text),
        LiteralValue::UInt(value) => (Literal::Uint(*value.inner()), Type::Uint),
        LiteralValue::Bytes(_) => {
            return Err(Mistake::new("expressions here have no bytes (`b\"...\"`)".to_owned()));
        }
    };
    Ok((Node::Literal(literal), kind))
}

/// The text that is written here, where one is.
pub(super) fn text_of(tree: &IdedExpr) -> Option<&str> {
    if let Expr::Literal(LiteralValue::String(text)) = &tree.expr { Some(text.inner()) } else { None }
}

/// Refuses a value whose type is known to be another. Null is let through: it is refused when it is there.
pub(super) fn demand(found: Type, wanted: Type, who: &str) -> Result<(), Mistake> {
    if found == wanted || found == Type::Any || wanted == Type::Any {
        return Ok(());
    }
    Err(Mistake::new(format!("{who} takes {}, not {}", wanted.name(), found.name())))
}
