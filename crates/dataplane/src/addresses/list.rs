//! A list of networks: is an address in it?

use std::net::IpAddr;
use std::path::Path;

use super::networks::{Span, span};
use super::ranges::Ranges;
use super::reading;
use super::registry::{Loaded, Size, Source};

/// Any number of networks, in as little memory as their numbers take.
#[derive(Debug)]
pub struct AddressList {
    v4: Ranges<u32>,
    v6: Ranges<u128>,
}

/// While it is read, at most this many.
#[derive(Default)]
struct Gathered {
    v4: Vec<(u32, u32)>,
    v6: Vec<(u128, u128)>,
    most: usize,
}

impl Gathered {
    fn add(&mut self, text: &str) -> Result<(), String> {
        match span(text)? {
            Span::V4(first, last) => self.v4.push((first, last)),
            Span::V6(first, last) => self.v6.push((first, last)),
        }
        if self.v4.len() + self.v6.len() > self.most {
            return Err(format!("more than {} networks; raise `max_entries`", self.most));
        }
        Ok(())
    }

    fn list(self) -> AddressList {
        AddressList { v4: Ranges::join(self.v4), v6: Ranges::join(self.v6) }
    }
}

impl AddressList {
    pub fn compile<'a>(networks: impl IntoIterator<Item = &'a str>) -> Result<Self, String> {
        let mut gathered = Gathered { most: usize::MAX, ..Gathered::default() };
        networks.into_iter().try_for_each(|network| gathered.add(network))?;
        Ok(gathered.list())
    }

    /// One network a line.
    pub fn read(path: &Path, most: usize) -> Result<Self, String> {
        let mut gathered = Gathered { most, ..Gathered::default() };
        reading::lines(path, |line| gathered.add(line))?;
        Ok(gathered.list())
    }

    pub fn contains(&self, address: IpAddr) -> bool {
        match address.to_canonical() {
            IpAddr::V4(address) => self.v4.find(address.to_bits()).is_some(),
            IpAddr::V6(address) => self.v6.find(address.to_bits()).is_some(),
        }
    }

    /// Ranges: networks that overlap or touch are one.
    pub fn size(&self) -> Size {
        Size { entries: self.v4.len() + self.v6.len(), bytes: self.v4.bytes() + self.v6.bytes() }
    }
}

impl Loaded for AddressList {
    fn load(source: &Source) -> Result<Self, String> {
        Self::read(&source.path, source.most)
    }

    fn size(&self) -> Size {
        self.size()
    }
}
