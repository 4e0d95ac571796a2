//! Events to a tree: keys, anchors and aliases, and the bounds on them.

use std::collections::HashMap;

use saphyr_parser::{ScalarStyle, Tag};

use super::scalar::{self, SCALAR_TAGS};
use crate::place::Place;
use crate::{Entry, MAX_ALIAS_NODES, MAX_DEPTH, MAX_PROBLEMS, Node, Problem, Value};

/// Reading ends here: what follows would not make sense, or would be too much.
pub(super) struct Stop;

pub(super) struct Scalar<'event> {
    pub text: &'event str,
    pub style: ScalarStyle,
    /// 0: none.
    pub anchor: usize,
    pub tag: Option<&'event Tag>,
}

/// A list or map whose end has not come yet.
pub(super) struct Frame {
    at: Place,
    anchor: usize,
    shape: Shape,
}

enum Shape {
    List(Vec<Node>),
    Map { entries: Vec<Entry>, lines: HashMap<String, usize>, next: Next },
}

/// What the next node of a map is.
enum Next {
    Key,
    ValueOf(String, Place),
    /// The key was refused, so its value is read and dropped.
    Nothing,
}

impl Frame {
    pub fn list(anchor: usize, at: Place) -> Self {
        Self { at, anchor, shape: Shape::List(Vec::new()) }
    }

    pub fn map(anchor: usize, at: Place) -> Self {
        Self { at, anchor, shape: Shape::Map { entries: Vec::new(), lines: HashMap::new(), next: Next::Key } }
    }
}

/// What an alias stands for.
enum Anchored {
    /// The anchor's own node has not ended.
    Open,
    Whole {
        node: Node,
        nodes: usize,
        height: usize,
    },
}

#[derive(Default)]
pub(super) struct Tree {
    root: Option<Node>,
    frames: Vec<Frame>,
    anchors: HashMap<usize, Anchored>,
    alias_nodes: usize,
    documents: usize,
    problems: Vec<Problem>,
}

impl Tree {
    pub fn report(&mut self, at: Place, message: impl Into<String>) {
        self.problems.push(at.problem(message));
    }

    pub fn finish(self) -> Result<Node, Vec<Problem>> {
        if self.problems.is_empty() {
            Ok(self.root.unwrap_or_else(|| Place::START.node(Value::Map(Vec::new()))))
        } else {
            Err(self.problems)
        }
    }

    pub fn document(&mut self, at: Place) -> Result<(), Stop> {
        self.documents += 1;
        if self.documents > 1 {
            self.report(at, "a second document; put each into a file of its own");
            return Err(Stop);
        }
        Ok(())
    }

    pub fn open(&mut self, frame: Frame, tag: Option<&Tag>) -> Result<(), Stop> {
        if self.frames.len() >= MAX_DEPTH {
            self.report(frame.at, format!("nested more than {MAX_DEPTH} levels deep; flatten it"));
            return Err(Stop);
        }
        let core = match frame.shape {
            Shape::List(_) => "seq",
            Shape::Map { .. } => "map",
        };
        if let Err(message) = scalar::demand_core(tag, &[core]) {
            self.report(frame.at, message);
        }
        if frame.anchor > 0 {
            self.anchors.insert(frame.anchor, Anchored::Open);
        }
        self.frames.push(frame);
        Ok(())
    }

    pub fn close(&mut self) -> Result<(), Stop> {
        let Some(frame) = self.frames.pop() else { return Ok(()) };
        let node = frame.at.node(match frame.shape {
            Shape::List(nodes) => Value::List(nodes),
            Shape::Map { entries, .. } => Value::Map(entries),
        });
        self.remember(frame.anchor, &node);
        self.attach(node)
    }

    pub fn scalar(&mut self, scalar: &Scalar<'_>, at: Place) -> Result<(), Stop> {
        if self.awaits_key() {
            return self.key(scalar, at);
        }
        let missing = scalar.text.is_empty() && scalar.style == ScalarStyle::Plain && scalar.tag.is_none();
        if missing && self.frames.is_empty() {
            return Ok(());
        }
        // The parser places a value that is not there at whatever comes next, which may be lines below.
        let at = if missing { self.key_place().unwrap_or(at) } else { at };
        let value = scalar::resolve(scalar.text, scalar.style, scalar.tag).unwrap_or_else(|message| {
            self.report(at, message);
            Value::Null
        });
        let node = at.node(value);
        self.remember(scalar.anchor, &node);
        self.attach(node)
    }

    pub fn alias(&mut self, anchor: usize, at: Place) -> Result<(), Stop> {
        if self.awaits_key() {
            self.report(at, "an alias cannot be a key; write the key itself");
            return self.expect(Next::Nothing);
        }
        let depth = self.frames.len();
        let mut copy = at.node(Value::Null);
        let refusal = match self.anchors.get(&anchor) {
            None | Some(Anchored::Open) => {
                Some("an alias inside its own anchor never ends; write the value".to_owned())
            }
            Some(Anchored::Whole { nodes, .. })
                if self.alias_nodes.saturating_add(*nodes) > MAX_ALIAS_NODES =>
            {
                Some(format!("aliases expand to more than {MAX_ALIAS_NODES} nodes; use fewer"))
            }
            Some(Anchored::Whole { height, .. }) if depth + height > MAX_DEPTH => {
                Some(format!("this alias nests more than {MAX_DEPTH} levels deep; flatten it"))
            }
            Some(Anchored::Whole { node, nodes, .. }) => {
                self.alias_nodes += nodes;
                copy.value = node.value.clone();
                None
            }
        };
        if let Some(message) = refusal {
            self.report(at, message);
            return Err(Stop);
        }
        self.attach(copy)
    }

    fn awaits_key(&self) -> bool {
        matches!(self.frames.last(), Some(Frame { shape: Shape::Map { next: Next::Key, .. }, .. }))
    }

    fn key_place(&self) -> Option<Place> {
        match self.frames.last() {
            Some(Frame { shape: Shape::Map { next: Next::ValueOf(_, at), .. }, .. }) => Some(*at),
            Some(_) | None => None,
        }
    }

    fn key(&mut self, scalar: &Scalar<'_>, at: Place) -> Result<(), Stop> {
        self.remember(scalar.anchor, &at.node(Value::Text(scalar.text.to_owned())));
        let plain = scalar.style == ScalarStyle::Plain;
        if let Err(message) = scalar::demand_core(scalar.tag, &SCALAR_TAGS) {
            self.report(at, message);
        }
        if plain && scalar.text == "<<" {
            self.report(
                at,
                "merge keys belong to YAML 1.1; repeat the fields or use an anchor on the whole value",
            );
            return self.expect(Next::Nothing);
        }
        if plain && scalar.text.is_empty() {
            self.report(at, "a key is missing before `:`");
            return self.expect(Next::Nothing);
        }
        let first = match self.frames.last_mut() {
            Some(Frame { shape: Shape::Map { lines, .. }, .. }) => {
                lines.get(scalar.text).copied().or_else(|| {
                    lines.insert(scalar.text.to_owned(), at.line);
                    None
                })
            }
            Some(_) | None => None,
        };
        match first {
            None => self.expect(Next::ValueOf(scalar.text.to_owned(), at)),
            Some(line) => {
                self.report(at, format!("key `{}` is repeated; first on line {line}", scalar.text));
                self.expect(Next::Nothing)
            }
        }
    }

    fn expect(&mut self, following: Next) -> Result<(), Stop> {
        if let Some(Frame { shape: Shape::Map { next, .. }, .. }) = self.frames.last_mut() {
            *next = following;
        }
        if self.problems.len() >= MAX_PROBLEMS { Err(Stop) } else { Ok(()) }
    }

    /// Put a whole node where it belongs.
    fn attach(&mut self, node: Node) -> Result<(), Stop> {
        let mut key = None;
        match self.frames.last_mut().map(|frame| &mut frame.shape) {
            None => self.root = Some(node),
            Some(Shape::List(nodes)) => nodes.push(node),
            Some(Shape::Map { entries, next, .. }) => match std::mem::replace(next, Next::Key) {
                Next::ValueOf(name, at) => entries.push(at.entry(name, node)),
                Next::Nothing => {}
                Next::Key => key = Some(Place { line: node.line, column: node.column }),
            },
        }
        if let Some(at) = key {
            self.report(at, "a list or map cannot be a key; use a text");
            return self.expect(Next::Nothing);
        }
        if self.problems.len() >= MAX_PROBLEMS { Err(Stop) } else { Ok(()) }
    }

    fn remember(&mut self, anchor: usize, node: &Node) {
        if anchor > 0 {
            let (nodes, height) = measure(node);
            // Too large for any alias: its size is all that the refusal needs.
            let node = if nodes > MAX_ALIAS_NODES { Place::START.node(Value::Null) } else { node.clone() };
            self.anchors.insert(anchor, Anchored::Whole { node, nodes, height });
        }
    }
}

/// How many nodes, and how many lists and maps inside each other.
fn measure(node: &Node) -> (usize, usize) {
    let add =
        |(nodes, height): (usize, usize), below: (usize, usize)| (nodes + below.0, height.max(below.1 + 1));
    match &node.value {
        Value::Null | Value::Bool(_) | Value::Integer(_) | Value::Float(_) | Value::Text(_) => (1, 0),
        Value::List(nodes) => nodes.iter().map(measure).fold((1, 1), add),
        Value::Map(entries) => entries.iter().map(|entry| measure(&entry.value)).fold((1, 1), add),
    }
}
