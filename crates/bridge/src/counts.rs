//! Counted requests as Python takes them.

use std::sync::Arc;

use dataplane::record::{CensusCell, Distribution, Kind, Latency};
use pyo3::IntoPyObjectExt;
use pyo3::prelude::*;
use pyo3::types::PyTuple;

/// A tuple as `take_counts` in `_engine.pyi` says. All of it is tuples and numbers, which the collector of garbage looks at once and
/// then no more: of thousands of lists it would make a long pause.
pub(crate) fn row<'py>(py: Python<'py>, cell: &CensusCell) -> PyResult<Bound<'py, PyTuple>> {
    let Kind { minute, status, route, service, instance, tenant } = cell.kind();
    let text = |name: Option<&Arc<str>>| name.map_or("", |name| name).into_bound_py_any(py);
    let number = |number: u64| number.into_bound_py_any(py);
    let histogram = |latency| {
        let Distribution { zeros, microseconds, buckets } = cell.distribution(latency);
        (zeros, microseconds, PyTuple::new(py, buckets)?).into_bound_py_any(py)
    };
    let fields = [
        number(minute * 60)?,
        text(route)?,
        text(service)?,
        text(instance)?,
        number(u64::from(status))?,
        text(tenant)?,
        number(cell.requests)?,
        number(cell.programs)?,
        number(cell.request_bytes)?,
        number(cell.response_bytes)?,
        histogram(Latency::Total)?,
        histogram(Latency::Overhead)?,
        histogram(Latency::Upstream)?,
    ];
    PyTuple::new(py, fields)
}
