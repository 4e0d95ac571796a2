//! KDL nodes to data, as the table of the parent module says.

use std::collections::HashMap;

use ::kdl::{KdlEntry, KdlNode, KdlValue};

use super::{SECTIONS, original};
use crate::place::{Lines, Place};
use crate::{Entry, MAX_PROBLEMS, Node, Problem, Value};

/// The children of `whole`, the node that stands for the document.
pub(super) fn document(whole: &KdlNode, lines: &Lines<'_>) -> Result<Node, Vec<Problem>> {
    let mut reader = Reader { lines, problems: Vec::new() };
    let nodes = whole.children().map_or(&[][..], |children| children.nodes());
    let mut fields = Fields::default();
    for node in nodes {
        let at = reader.place(node.name().span().offset());
        let name = node.name().value();
        match SECTIONS.iter().find(|(singular, _)| *singular == name) {
            Some((_, plural)) => {
                let element = reader.section(node, at);
                fields.collect(&mut reader, plural, at, element);
            }
            None => reader.field(&mut fields, node),
        }
    }
    let at =
        fields.entries.first().map_or(Place::START, |first| Place { line: first.line, column: first.column });
    reader.problems.truncate(MAX_PROBLEMS);
    if reader.problems.is_empty() { Ok(at.node(Value::Map(fields.entries))) } else { Err(reader.problems) }
}

/// A map that is being read.
#[derive(Default)]
struct Fields {
    entries: Vec<Entry>,
    /// Where each key stands in `entries`, and whether it collects sections.
    known: HashMap<String, (usize, bool)>,
}

impl Fields {
    fn add(&mut self, reader: &mut Reader<'_>, key: &str, at: Place, value: Node) {
        if let Some((index, _)) = self.known.get(key) {
            let first = self.entries.get(*index).map_or(0, |entry| entry.line);
            return reader.report(at, format!("`{key}` is repeated; first on line {first}"));
        }
        self.known.insert(key.to_owned(), (self.entries.len(), false));
        self.entries.push(at.entry(key.to_owned(), value));
    }

    /// One more element of a list that is written as repeated sections.
    fn collect(&mut self, reader: &mut Reader<'_>, key: &str, at: Place, element: Node) {
        match self.known.get(key).copied() {
            None => {
                self.known.insert(key.to_owned(), (self.entries.len(), true));
                self.entries.push(at.entry(key.to_owned(), at.node(Value::List(vec![element]))));
            }
            Some((index, collects)) => match self.entries.get_mut(index) {
                Some(Entry { value: Node { value: Value::List(list), .. }, .. }) if collects => {
                    list.push(element)
                }
                Some(Entry { line, .. }) => {
                    let message =
                        format!("`{key}` stands on line {line} already; put this one into its block as `-`");
                    reader.report(at, message);
                }
                None => {}
            },
        }
    }
}

struct Reader<'text> {
    lines: &'text Lines<'text>,
    problems: Vec<Problem>,
}

/// The entries of a node by what they are.
struct Parts<'node> {
    arguments: Vec<&'node KdlEntry>,
    properties: Vec<&'node KdlEntry>,
    children: Option<&'node [KdlNode]>,
}

impl<'node> Parts<'node> {
    fn of(node: &'node KdlNode) -> Self {
        let (properties, arguments) = node.entries().iter().partition(|entry| entry.name().is_some());
        Self { arguments, properties, children: node.children().map(|children| children.nodes()) }
    }
}

impl Reader<'_> {
    fn place(&self, offset: usize) -> Place {
        self.lines.place(original(offset))
    }

    fn report(&mut self, at: Place, message: impl Into<String>) {
        self.problems.push(at.problem(message));
    }

    fn field(&mut self, fields: &mut Fields, node: &KdlNode) {
        let at = self.place(node.name().span().offset());
        let name = node.name().value();
        if name == "-" {
            return self.report(at, "`-` is an element of a list; its block may hold nothing but `-`");
        }
        let value = self.value(node, at);
        fields.add(self, name, at, value);
    }

    fn value(&mut self, node: &KdlNode, at: Place) -> Node {
        let parts = Parts::of(node);
        let fields = !parts.properties.is_empty() || parts.children.is_some();
        match parts.arguments.as_slice() {
            [] => self.fields(&parts, at),
            [first, ..] if fields => {
                let at = self.place(first.span().offset());
                let message =
                    "an argument together with properties or a block; make it a property: `key=value`";
                self.report(at, message);
                at.node(Value::Null)
            }
            [only] => self.scalar(only),
            [first, ..] => {
                let at = self.place(first.span().offset());
                at.node(Value::List(parts.arguments.iter().map(|argument| self.scalar(argument)).collect()))
            }
        }
    }

    fn fields(&mut self, parts: &Parts<'_>, at: Place) -> Node {
        let children = parts.children.unwrap_or(&[]);
        let elements = !children.is_empty() && children.iter().all(|child| child.name().value() == "-");
        if !elements {
            let mut fields = Fields::default();
            self.fill(&mut fields, parts);
            return at.node(Value::Map(fields.entries));
        }
        if let Some(property) = parts.properties.first() {
            let at = self.place(property.span().offset());
            self.report(at, "a property beside elements `-`; a node is a map or a list, not both");
        }
        let mut list = Vec::with_capacity(children.len());
        for child in children {
            let at = self.place(child.name().span().offset());
            list.push(self.value(child, at));
        }
        at.node(Value::List(list))
    }

    fn fill(&mut self, fields: &mut Fields, parts: &Parts<'_>) {
        for property in &parts.properties {
            let Some(name) = property.name() else { continue };
            let at = self.place(name.span().offset());
            let value = self.scalar(property);
            fields.add(self, name.value(), at, value);
        }
        for child in parts.children.unwrap_or(&[]) {
            self.field(fields, child);
        }
    }

    /// A top-level node of [`SECTIONS`]: its argument, where it has one, is the `name`.
    fn section(&mut self, node: &KdlNode, at: Place) -> Node {
        let parts = Parts::of(node);
        let mut fields = Fields::default();
        if let Some(name) = parts.arguments.first() {
            let value = self.scalar(name);
            let at = Place { line: value.line, column: value.column };
            fields.add(self, "name", at, value);
        }
        if let Some(second) = parts.arguments.get(1) {
            let at = self.place(second.span().offset());
            self.report(at, format!("`{}` takes one argument, its name", node.name().value()));
        }
        self.fill(&mut fields, &parts);
        at.node(Value::Map(fields.entries))
    }

    fn scalar(&mut self, entry: &KdlEntry) -> Node {
        let at = self.place(value_offset(entry));
        let value = match entry.value() {
            KdlValue::String(text) => Ok(Value::Text(text.clone())),
            KdlValue::Integer(number) => i64::try_from(*number)
                .map(Value::Integer)
                .map_err(|_| format!("integer `{number}` does not fit into 64 bits; quote it")),
            KdlValue::Float(number) if number.is_finite() => Ok(Value::Float(*number)),
            KdlValue::Float(_) => Err("this is not a finite number; quote it if it is a text".to_owned()),
            KdlValue::Bool(value) => Ok(Value::Bool(*value)),
            KdlValue::Null => Ok(Value::Null),
        };
        at.node(value.unwrap_or_else(|message| {
            self.report(at, message);
            Value::Null
        }))
    }
}

/// The library's span of a property begins at its key.
fn value_offset(entry: &KdlEntry) -> usize {
    match (entry.name(), entry.format()) {
        (Some(name), Some(format)) => {
            let key = name.span();
            key.offset() + key.len() + format.after_key.len() + "=".len() + format.after_eq.len()
        }
        (Some(_) | None, _) => entry.span().offset(),
    }
}
