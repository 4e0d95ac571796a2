//! YAML 1.2, core schema.
//!
//! Refused, each with its cure: repeated keys, keys that are not scalars, merge keys `<<`, tags outside the core schema,
//! a second document, aliases inside their own anchor or beyond the bounds of this crate. The parser gives events; the
//! meaning of scalars (`scalar`), aliases and keys (`tree`) is decided here.

mod scalar;
#[cfg(test)]
mod tests;
mod tree;

use saphyr_parser::{Event, Marker, Parser};

use crate::place::{Lines, Place};
use crate::{Node, Problem};
use tree::{Frame, Scalar, Stop, Tree};

pub(crate) fn read(text: &str) -> Result<Node, Vec<Problem>> {
    let end = Lines::of(text).end();
    let mut tree = Tree::default();
    let mut parser = Parser::new_from_str(text);
    while let Some(next) = parser.next_event() {
        let taken = match next {
            Ok((event, span)) => take(&mut tree, event, place(span.start, end)),
            Err(error) => {
                tree.report(place(*error.marker(), end), error.info());
                Err(Stop)
            }
        };
        if taken.is_err() {
            break;
        }
    }
    tree.finish()
}

fn take(tree: &mut Tree, event: Event<'_>, at: Place) -> Result<(), Stop> {
    match event {
        Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
        Event::DocumentStart(_) => tree.document(at),
        Event::Alias(anchor) => tree.alias(anchor, at),
        Event::Scalar(text, style, anchor, tag) => {
            tree.scalar(&Scalar { text: &text, style, anchor, tag: tag.as_deref() }, at)
        }
        Event::SequenceStart(anchor, tag) => tree.open(Frame::list(anchor, at), tag.as_deref()),
        Event::MappingStart(anchor, tag) => tree.open(Frame::map(anchor, at), tag.as_deref()),
        Event::SequenceEnd | Event::MappingEnd => tree.close(),
    }
}

/// The parser places what is missing at the end of some texts one line below it.
fn place(marker: Marker, end: Place) -> Place {
    if marker.line() > end.line {
        end
    } else {
        Place { line: marker.line().max(1), column: marker.col() + 1 }
    }
}
