//! Files of networks, line by line, in memory that does not grow with them.

use std::fs::{self, File, Metadata};
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::time::SystemTime;

/// Bytes of the longest line: a network, a score, and a comment.
const LONGEST: u64 = 1_024;
const BUFFER: usize = 256 * 1024;

/// Gives every line that says something to `take`, without what stands behind `#` or `;`. The first that is wrong ends it:
/// the error names the file and the number of the line.
pub(super) fn lines(path: &Path, mut take: impl FnMut(&str) -> Result<(), String>) -> Result<(), String> {
    let unreadable = |error: std::io::Error| format!("{}: cannot be read: {error}", path.display());
    let file = opened(path).map_err(unreadable)?;
    let before = stamp(&file.metadata().map_err(unreadable)?);
    let mut reader = BufReader::with_capacity(BUFFER, file);
    let mut line = Vec::new();
    for number in 1_u64.. {
        line.clear();
        let count = reader.by_ref().take(LONGEST).read_until(b'\n', &mut line).map_err(unreadable)?;
        if count == 0 {
            break;
        }
        let is_whole = line.ends_with(b"\n") || (count as u64) < LONGEST;
        let said = if is_whole { content(&line) } else { Err("the line is too long".to_owned()) };
        let taken = said.and_then(|text| if text.is_empty() { Ok(()) } else { take(text) });
        taken.map_err(|error| format!("{}:{number}: {error}", path.display()))?;
    }
    // Half of a file that is being written would be half of a list.
    let after = stamp(&reader.get_ref().metadata().map_err(unreadable)?);
    if before != after {
        return Err(format!("{}: was written while it was read; it is read again", path.display()));
    }
    Ok(())
}

/// Opens a file and nothing else: whoever opens a pipe waits until somebody writes to it, perhaps for ever.
pub(super) fn opened(path: &Path) -> io::Result<File> {
    if fs::metadata(path)?.is_file() { File::open(path) } else { Err(io::Error::other("it is no file")) }
}

fn stamp(metadata: &Metadata) -> (u64, Option<SystemTime>) {
    (metadata.len(), metadata.modified().ok())
}

fn content(line: &[u8]) -> Result<&str, String> {
    let text = std::str::from_utf8(line).map_err(|_| "the line is not UTF-8".to_owned())?;
    Ok(text.split(['#', ';']).next().unwrap_or_default().trim())
}
