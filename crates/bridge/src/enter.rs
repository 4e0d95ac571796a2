//! The one way in: detached from the interpreter, with errors turned into Python's own in one place.

use dataplane::engine::EngineError;
use pyo3::import_exception;
use pyo3::prelude::*;

mod python {
    use super::import_exception;

    import_exception!(gatewright.errors, EngineError);
    import_exception!(gatewright.errors, SnapshotError);
    import_exception!(gatewright.errors, ListenError);
}

/// Runs `work` while other Python threads run, too.
pub fn enter<T: Send>(py: Python<'_>, work: impl Send + FnOnce() -> Result<T, EngineError>) -> PyResult<T> {
    py.detach(work).map_err(exception)
}

/// A wrong argument.
pub fn refused(message: &str) -> EngineError {
    EngineError::Engine(message.to_owned())
}

pub fn exception(error: EngineError) -> PyErr {
    match error {
        EngineError::Engine(message) => python::EngineError::new_err(message),
        EngineError::Snapshot(message) => python::SnapshotError::new_err(message),
        EngineError::Listen(message) => python::ListenError::new_err(message),
    }
}
