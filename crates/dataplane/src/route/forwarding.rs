//! The path that a service sees: `strip_prefix`, then `rewrite`.

use regex::bytes::Regex;

use super::Canonical;
use super::regexes::whole;
use crate::snapshot::document::{ProxyDocument, RewriteDocument};

/// How a route changes the path before it is forwarded. By default not at all.
#[derive(Debug, Default)]
pub struct Forwarding {
    /// Without a final slash; never empty.
    strip: Option<Box<str>>,
    rewrite: Option<Rewrite>,
}

#[derive(Debug)]
struct Rewrite {
    regex: Regex,
    replacement: Box<str>,
}

impl Forwarding {
    /// Refuses a prefix that is not a path, a bad regex, and a replacement that names a group which the regex lacks.
    pub fn compile(document: &ProxyDocument, canonical: Canonical) -> Result<Self, String> {
        let strip = document.strip_prefix.as_deref().map(|prefix| stripped(prefix, canonical)).transpose()?;
        let rewrite = document.rewrite.as_ref().map(Rewrite::compile).transpose()?;
        Ok(Self { strip: strip.flatten(), rewrite })
    }

    /// Is the path forwarded as it came? Then nothing needs to be copied or made canonical again.
    pub fn is_identity(&self) -> bool {
        self.strip.is_none() && self.rewrite.is_none()
    }

    /// Writes the path to forward into `out`, whose old content is dropped.
    ///
    /// `strip_prefix` is taken off at a segment boundary only; what equals it becomes `/`; another path stays. The
    /// regex of `rewrite` must match all of what is left, else it stays. The result of a rewrite may be anything, so
    /// the caller makes it canonical again or refuses it.
    pub fn forward_path(&self, path: &str, out: &mut Vec<u8>) {
        out.clear();
        let path = self.strip.as_deref().map_or(path, |prefix| without(prefix, path));
        match &self.rewrite {
            Some(rewrite) => rewrite.apply(path.as_bytes(), out),
            None => out.extend_from_slice(path.as_bytes()),
        }
    }
}

fn stripped(prefix: &str, canonical: Canonical) -> Result<Option<Box<str>>, String> {
    if !prefix.starts_with('/') {
        return Err(format!("strip_prefix `{prefix}` does not start with `/`"));
    }
    let whole = canonical(prefix).map_err(|error| format!("strip_prefix `{prefix}`: {error}"))?;
    let bare = whole.trim_end_matches('/');
    Ok(if bare.is_empty() { None } else { Some(bare.into()) })
}

fn without<'a>(prefix: &str, path: &'a str) -> &'a str {
    match path.strip_prefix(prefix) {
        Some("") => "/",
        Some(rest) if rest.starts_with('/') => rest,
        Some(_) | None => path,
    }
}

impl Rewrite {
    fn compile(document: &RewriteDocument) -> Result<Self, String> {
        let regex = whole(&document.regex).map_err(|error| format!("rewrite: {error}"))?;
        for group in references(&document.replacement) {
            if !has_group(&regex, group) {
                return Err(format!(
                    "rewrite: the regex has no group `{group}`; write `${{1}}x` for `$1` before `x`"
                ));
            }
        }
        Ok(Self { regex, replacement: document.replacement.as_str().into() })
    }

    fn apply(&self, path: &[u8], out: &mut Vec<u8>) {
        match self.regex.captures(path) {
            Some(captures) => captures.expand(self.replacement.as_bytes(), out),
            None => out.extend_from_slice(path),
        }
    }
}

/// The groups that a replacement names, read as the regex library reads them.
fn references(replacement: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut rest = replacement;
    while let Some((_, after)) = rest.split_once('$') {
        rest = after;
        if let Some(escaped) = after.strip_prefix('$') {
            rest = escaped;
        } else if let Some((group, after)) = after.strip_prefix('{').and_then(|open| open.split_once('}')) {
            found.push(group);
            rest = after;
        } else {
            let other = |letter: char| !letter.is_ascii_alphanumeric() && letter != '_';
            let group = after.split(other).next().unwrap_or_default();
            found.extend((!group.is_empty()).then_some(group));
        }
    }
    found
}

fn has_group(regex: &Regex, group: &str) -> bool {
    match group.parse::<usize>() {
        Ok(number) => number < regex.captures_len(),
        Err(_) => regex.capture_names().flatten().any(|name| name == group),
    }
}
