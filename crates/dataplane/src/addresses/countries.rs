//! Which country an address is of, by a file of MaxMind's format. It is read into memory as a whole: a mapped file that
//! changes would be undefined behaviour (RUSTSEC-2025-0132).

use std::io::Read;
use std::net::IpAddr;
use std::path::Path;

use maxminddb::{PathElement, Reader};

use super::reading;
use super::registry::{Loaded, Size, Source};

/// Two upper-case letters (ISO 3166-1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Country([u8; 2]);

impl Country {
    pub fn parse(text: &str) -> Option<Self> {
        let code: [u8; 2] = text.as_bytes().try_into().ok()?;
        code.iter().all(u8::is_ascii_uppercase).then_some(Self(code))
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

/// Where the code is: of where the address is used, else of where it is registered.
const PATHS: [[PathElement<'static>; 2]; 2] = [
    [PathElement::Key("country"), PathElement::Key("iso_code")],
    [PathElement::Key("registered_country"), PathElement::Key("iso_code")],
];

pub struct Countries {
    reader: Reader<Vec<u8>>,
    bytes: usize,
}

impl Countries {
    pub fn read(path: &Path, most: usize) -> Result<Self, String> {
        let wrong = |error: String| format!("{}: {error}", path.display());
        let mut content = Vec::new();
        let file = reading::opened(path).map_err(|error| wrong(format!("cannot be read: {error}")))?;
        let read = file.take(most as u64 + 1).read_to_end(&mut content);
        read.map_err(|error| wrong(format!("cannot be read: {error}")))?;
        if content.len() > most {
            return Err(wrong(format!("longer than {most} bytes; raise `max_size`")));
        }
        content.shrink_to_fit();
        let bytes = content.len();
        let reader = Reader::from_source(content).map_err(|error| wrong(format!("no MMDB file: {error}")))?;
        // A file that is cut, or is being written, is found here and not by a request.
        reader.verify().map_err(|error| wrong(format!("damaged: {error}")))?;
        Ok(Self { reader, bytes })
    }

    pub fn country(&self, address: IpAddr) -> Option<Country> {
        let found = self.reader.lookup(address.to_canonical()).ok()?;
        let code = |path: &[PathElement<'_>; 2]| found.decode_path::<&str>(path).ok().flatten();
        PATHS.iter().find_map(code).and_then(Country::parse)
    }
}

impl Loaded for Countries {
    fn load(source: &Source) -> Result<Self, String> {
        Self::read(&source.path, source.most)
    }

    fn size(&self) -> Size {
        Size { entries: self.reader.metadata().node_count as usize, bytes: self.bytes }
    }
}
