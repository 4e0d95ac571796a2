//! The compiled configuration that a request is decided by.

pub mod document;
