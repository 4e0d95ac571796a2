//! The border between Python and the data plane: documents go down, batches come up, never an object per request.
//! Every call lets other Python threads run while it works; none is made while a request is served.

mod counts;
mod enter;

use std::path::PathBuf;
use std::time::Duration;

use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyBytes, PyTuple};

use enter::{enter, exception};

/// One data plane; see `_engine.pyi`.
#[pyclass(frozen, module = "gatewright._engine")]
struct Engine {
    engine: dataplane::engine::Engine,
}

#[pymethods]
impl Engine {
    #[new]
    fn new(options: &[u8]) -> PyResult<Self> {
        dataplane::engine::Engine::new(options).map(|engine| Self { engine }).map_err(exception)
    }

    fn start(&self, py: Python<'_>) -> PyResult<()> {
        enter(py, || self.engine.start())
    }

    fn apply(&self, py: Python<'_>, snapshot: &[u8]) -> PyResult<u64> {
        enter(py, || self.engine.apply(snapshot))
    }

    fn adopt(&self, py: Python<'_>, path: PathBuf) -> PyResult<usize> {
        enter(py, || self.engine.adopt(&path))
    }

    fn listening<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        let listening = py.detach(|| self.engine.listening());
        PyBytes::new(py, &listening)
    }

    fn self_check(&self) -> PyResult<String> {
        self.engine.self_check().map_err(exception)
    }

    fn set_instances(&self, py: Python<'_>, service: &str, instances: &[u8]) -> PyResult<()> {
        enter(py, || self.engine.set_instances(service, instances))
    }

    fn set_keys(&self, py: Python<'_>, identity: &str, keys: &[u8]) -> PyResult<()> {
        enter(py, || self.engine.set_keys(identity, keys))
    }

    fn drain_instance(&self, py: Python<'_>, service: &str, instance: &str, wanted: bool) -> Option<usize> {
        py.detach(|| self.engine.drain_instance(service, instance, wanted))
    }

    fn set_breaker(&self, py: Python<'_>, name: Option<&str>, change: &[u8]) -> PyResult<usize> {
        enter(py, || self.engine.set_breaker(name, change))
    }

    fn reset_limits(&self, py: Python<'_>, tier: Option<&str>, caller: Option<&str>) -> usize {
        py.detach(|| self.engine.reset_limits(tier, caller))
    }

    fn set_limit(&self, py: Python<'_>, tier: &str, limit: Option<u64>, lasts_ms: u64) -> PyResult<()> {
        enter(py, || self.engine.set_limit(tier, limit, lasts_ms))
    }

    fn bans<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        let bans = py.detach(|| self.engine.bans());
        PyBytes::new(py, &bans)
    }

    fn lift_bans(&self, py: Python<'_>, tier: Option<&str>, caller: Option<&str>) -> usize {
        py.detach(|| self.engine.lift_bans(tier, caller))
    }

    fn limit_store<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        let store = py.detach(|| self.engine.limit_store());
        PyBytes::new(py, &store)
    }

    fn bypass_limits(&self, py: Python<'_>, for_ms: u64, counts: bool) {
        py.detach(|| self.engine.bypass_limits(for_ms, counts));
    }

    fn take_quotas<'py>(&self, py: Python<'py>, maximum: usize) -> Option<Bound<'py, PyBytes>> {
        let quotas = py.detach(|| self.engine.take_quotas(maximum));
        quotas.map(|quotas| PyBytes::new(py, &quotas))
    }

    fn restore_quotas(&self, py: Python<'_>, quotas: &[u8]) -> PyResult<usize> {
        enter(py, || self.engine.restore_quotas(quotas))
    }

    fn take_bans<'py>(&self, py: Python<'py>, maximum: usize) -> Option<Bound<'py, PyBytes>> {
        let bans = py.detach(|| self.engine.take_bans(maximum));
        bans.map(|bans| PyBytes::new(py, &bans))
    }

    fn restore_bans(&self, py: Python<'_>, bans: &[u8]) -> PyResult<usize> {
        enter(py, || self.engine.restore_bans(bans))
    }

    fn reload_addresses<'py>(
        &self,
        py: Python<'py>,
        kind: &str,
        name: &str,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let size = enter(py, || self.engine.reload_addresses(kind, name))?;
        Ok(PyBytes::new(py, &size))
    }

    fn set_blocks(&self, py: Python<'_>, blocks: &[u8]) -> PyResult<usize> {
        enter(py, || self.engine.set_blocks(blocks))
    }

    fn next_records<'py>(
        &self,
        py: Python<'py>,
        maximum_bytes: usize,
        wait_seconds: f64,
    ) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let lines = py.detach(|| self.engine.next_records(maximum_bytes, seconds(wait_seconds)));
        let Some(lines) = lines else { return Ok(None) };
        PyBytes::new_with(py, lines.size(), |out| {
            lines.copy_to(out);
            Ok(())
        })
        .map(Some)
    }

    fn count_requests(&self, py: Python<'_>, most: usize) {
        py.detach(|| self.engine.count_requests(most));
    }

    fn take_counts<'py>(&self, py: Python<'py>) -> PyResult<Vec<Bound<'py, PyTuple>>> {
        let cells = py.detach(|| self.engine.take_counts());
        cells.iter().map(|cell| counts::row(py, cell)).collect()
    }

    fn next_questions<'py>(&self, py: Python<'py>, wait_seconds: f64) -> Option<Bound<'py, PyBytes>> {
        let questions = py.detach(|| self.engine.next_questions(seconds(wait_seconds)));
        questions.map(|questions| PyBytes::new(py, &questions))
    }

    fn answer(&self, py: Python<'_>, question: u64, result: &[u8]) -> PyResult<()> {
        enter(py, || self.engine.answer(question, result))
    }

    fn forget_keys(&self, py: Python<'_>, ids: &[u8]) -> PyResult<usize> {
        enter(py, || self.engine.forget_keys(ids))
    }

    fn revoke(&self, py: Python<'_>, entries: &[u8], replace: bool) -> PyResult<u64> {
        enter(py, || self.engine.revoke(entries, replace))
    }

    fn restore(&self, py: Python<'_>, entries: &[u8]) -> PyResult<usize> {
        enter(py, || self.engine.restore(entries))
    }

    fn key_uses<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        let uses = py.detach(|| self.engine.key_uses());
        PyBytes::new(py, &uses)
    }

    fn metrics(&self, py: Python<'_>) -> String {
        py.detach(|| self.engine.metrics())
    }

    fn exposition<'py>(
        &self,
        py: Python<'py>,
        format: &str,
        families: &[u8],
    ) -> PyResult<Bound<'py, PyBytes>> {
        let page = enter(py, || self.engine.exposition(format, families))?;
        Ok(PyBytes::new(py, &page))
    }

    fn state<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        let state = py.detach(|| self.engine.state());
        PyBytes::new(py, &state)
    }

    fn drain(&self, py: Python<'_>, deadline_seconds: f64) -> bool {
        py.detach(|| self.engine.drain(seconds(deadline_seconds)))
    }

    fn stop(&self, py: Python<'_>) {
        py.detach(|| self.engine.stop());
    }
}

/// A wait that Python gives in seconds; what is no sensible number is no wait.
fn seconds(value: f64) -> Duration {
    Duration::try_from_secs_f64(value).unwrap_or_default()
}

#[pyfunction]
fn decide<'py>(
    py: Python<'py>,
    snapshot: &[u8],
    keys: &[u8],
    requests: &[u8],
) -> PyResult<Bound<'py, PyBytes>> {
    let verdicts = enter(py, || dataplane::engine::decide(snapshot, keys, requests))?;
    Ok(PyBytes::new(py, &verdicts))
}

#[pyfunction]
fn parse<'py>(py: Python<'py>, text: &[u8], format: &str) -> PyResult<Bound<'py, PyBytes>> {
    let data = enter(py, || {
        let format =
            document::Format::named(format).ok_or_else(|| enter::refused("format is `yaml` or `kdl`"))?;
        let text = std::str::from_utf8(text).map_err(|error| {
            let line =
                text.get(..error.valid_up_to()).unwrap_or_default().split(|byte| *byte == b'\n').count();
            vec![document::Problem { line, column: 1, message: "the text is not UTF-8".to_owned() }]
        });
        Ok(document::to_json(text.and_then(|text| document::parse(text, format))))
    })?;
    Ok(PyBytes::new(py, &data))
}

#[pyfunction]
fn contains_any(py: Python<'_>, text: &[u8], parts: Vec<PyBackedBytes>) -> bool {
    py.detach(|| dataplane::engine::contains_any(text, &parts))
}

#[pyfunction]
fn check_expressions<'py>(py: Python<'py>, expressions: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
    let found = enter(py, || dataplane::engine::check_expressions(expressions))?;
    Ok(PyBytes::new(py, &found))
}

#[pymodule]
fn _engine(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Engine>()?;
    module.add_function(wrap_pyfunction!(decide, module)?)?;
    module.add_function(wrap_pyfunction!(check_expressions, module)?)?;
    module.add_function(wrap_pyfunction!(contains_any, module)?)?;
    module.add_function(wrap_pyfunction!(parse, module)?)
}
