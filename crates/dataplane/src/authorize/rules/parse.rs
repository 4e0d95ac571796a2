//! The text of an expression to its tree, by the parser of the `cel` crate.

use cel::common::ast::IdedExpr;
use cel::parser::{ParseError, Parser};

use super::Mistake;

/// Characters of one expression.
const MAX_LENGTH: usize = 4_096;
/// Parentheses, lists, calls and conditions within each other.
const MAX_NESTING: u16 = 48;
/// The parser descends once for each operator of a chain, and an overflow of the stack would end the process. A chain as
/// long as an expression may be takes a quarter of this, most of which is never touched.
const STACK: usize = 64 << 20;

/// Gives what `with` makes of the tree. It is called where there is stack for the deepest one, and the tree ends there.
pub(super) fn parse<T: Send>(
    text: &str,
    with: impl FnOnce(&IdedExpr) -> Result<T, Mistake> + Send,
) -> Result<T, Mistake> {
    if text.chars().count() > MAX_LENGTH {
        return Err(Mistake::new(format!("the expression is longer than {MAX_LENGTH} characters")));
    }
    std::thread::scope(|scope| {
        let builder = std::thread::Builder::new().name("expression".to_owned()).stack_size(STACK);
        let thread = builder.spawn_scoped(scope, || {
            let tree = Parser::new().max_recursion_depth(MAX_NESTING).parse(text);
            tree.map_err(|errors| first(errors.errors)).and_then(|tree| with(&tree))
        });
        let failed = |_| Mistake::new("the expression cannot be read".to_owned());
        thread.map_err(|error| Mistake::new(error.to_string()))?.join().map_err(failed)?
    })
}

/// The parser goes on after a mistake, and what it says then is seldom of use.
fn first(errors: Vec<ParseError>) -> Mistake {
    let deep = errors.iter().find(|error| error.msg.contains("Recursion limit"));
    if let Some(error) = deep {
        let message =
            format!("more than {MAX_NESTING} parentheses, lists, calls or conditions within each other");
        return Mistake { place: place(error), ..Mistake::new(message) };
    }
    let Some(error) = errors.into_iter().next() else {
        return Mistake::new("the expression cannot be read".to_owned());
    };
    Mistake { place: place(&error), ..Mistake::new(plain(&error.msg)) }
}

/// Lines and columns from 1.
fn place(error: &ParseError) -> Option<(usize, usize)> {
    let (line, column) = error.pos;
    let place = (usize::try_from(line).ok()?, usize::try_from(column).ok()?);
    (place.0 > 0 && place.1 > 0).then_some(place)
}

/// In words of ours, and without the list of everything that could have stood there.
fn plain(message: &str) -> String {
    let message = message.strip_prefix("Syntax error: ").unwrap_or(message);
    let (what, _) = message.split_once(" expecting ").unwrap_or((message, ""));
    let prefixes = [
        "mismatched input ",
        "extraneous input ",
        "no viable alternative at input ",
        "token recognition error at: ",
    ];
    let Some(found) = prefixes.iter().find_map(|prefix| what.strip_prefix(prefix)) else {
        return what.to_owned();
    };
    if found == "'<EOF>'" {
        return "the expression ends too early".to_owned();
    }
    format!("`{}` is not expected here", found.trim_matches('\''))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mistake(text: &str) -> Mistake {
        parse(text, |_| Ok(())).unwrap_err()
    }

    #[test]
    fn an_error_says_what_is_wrong_and_where() {
        let found = mistake("request.method == 'GET' &&\n  && true");
        assert_eq!((found.message.as_str(), found.place), ("`&&` is not expected here", Some((2, 3))));
        assert_eq!(mistake("size(").message, "the expression ends too early");
    }

    #[test]
    fn no_expression_is_too_deep_for_the_stack() {
        let chains = ["a+", "a||", "a.", "!", "-", "a?a:", "(", "[", "{1:", "a.exists(x,", "a[0]+"];
        for part in chains {
            let long = part.repeat(MAX_LENGTH / part.len());
            let whole = format!("{}a", long.get(..MAX_LENGTH - part.len()).unwrap());
            // Whether it is an expression does not matter; that the process is still there does.
            let _ = parse(&whole, |_| Ok(()));
        }
        assert!(mistake(&"(".repeat(60)).message.starts_with("more than 48"));
        assert!(mistake(&"a".repeat(MAX_LENGTH + 1)).message.contains("longer than 4096"));
    }
}
