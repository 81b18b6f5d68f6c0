//! `Submitted`: a request on its way to a commit.

use std::sync::{Mutex, PoisonError};

use becas_core::{engine, error::Error, pipeline::Laps};
use pyo3::{prelude::*, types::PyBytes};

use crate::{enter::EnterCore, export::bytes};

#[pyclass(module = "becas_ft._core", frozen)]
pub(crate) struct Submitted {
    submitted: Mutex<Option<engine::Submitted>>,
    laps: Option<Laps>,
}

impl Submitted {
    pub(crate) fn new(submitted: engine::Submitted) -> Self {
        Self { laps: submitted.laps(), submitted: Mutex::new(Some(submitted)) }
    }
}

#[pymethods]
impl Submitted {
    fn wait<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let answer = py.enter_core(|| {
            let taken = self.submitted.lock().unwrap_or_else(PoisonError::into_inner).take();
            taken.ok_or(Error::Closed)?.wait().map(|answer| bytes(&answer))
        })?;
        Ok(PyBytes::new(py, &answer))
    }

    fn stages(&self) -> Vec<(&'static str, f64)> {
        let laps = self.laps.iter().flat_map(Laps::stages);
        laps.map(|(stage, spent)| (stage.name(), spent.as_secs_f64())).collect()
    }
}
