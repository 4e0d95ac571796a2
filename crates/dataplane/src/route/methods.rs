//! Which methods a route answers.

use crate::request::Method;

/// The method that a look-up is for, classified once.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    bit: u16,
    text: &'a [u8],
}

impl<'a> Asked<'a> {
    pub(super) fn new(text: &'a [u8]) -> Self {
        Self { bit: bit(Method::from_bytes(text)), text }
    }
}

/// The methods of one route; none listed means any.
#[derive(Debug, Default)]
pub(super) struct MethodSet {
    bits: u16,
    /// Sorted, with `HEAD` added where `GET` is listed.
    names: Vec<Box<str>>,
}

impl MethodSet {
    /// Refuses what is not a method name, because the names are sent back in `Allow`.
    pub(super) fn parse(methods: &[String]) -> Result<Self, String> {
        let mut set = Self::default();
        for method in methods {
            if method.is_empty() || !method.bytes().all(is_method_byte) {
                return Err(format!("method `{method}` is not a token in upper case"));
            }
            set.add(method);
        }
        if set.bits & bit(Method::Get) != 0 {
            set.add("HEAD");
        }
        set.names.sort_unstable();
        Ok(set)
    }

    fn add(&mut self, name: &str) {
        self.bits |= bit(Method::from_bytes(name.as_bytes()));
        if !self.names.iter().any(|known| known.as_ref() == name) {
            self.names.push(name.into());
        }
    }

    pub(super) fn is_any(&self) -> bool {
        self.bits == 0
    }

    pub(super) fn names(&self) -> &[Box<str>] {
        &self.names
    }

    pub(super) fn admits(&self, asked: Asked<'_>) -> bool {
        if self.bits == 0 {
            return true;
        }
        if self.bits & asked.bit == 0 {
            return false;
        }
        // All uncommon methods share one bit, so only they need their text compared.
        asked.bit != bit(Method::Other) || self.names.iter().any(|name| name.as_bytes() == asked.text)
    }
}

fn bit(method: Method) -> u16 {
    1 << (method as u16)
}

fn is_method_byte(byte: u8) -> bool {
    byte.is_ascii_uppercase() || byte.is_ascii_digit() || b"!#$%&'*+-.^_`|~".contains(&byte)
}
