//! `Reservation`, `Submitted`: a request on its way to a commit.

use std::sync::{Mutex, PoisonError};

use becas_core::{engine, error::Error, pipeline::Laps, store};
use pyo3::{prelude::*, types::PyBytes};

use crate::{enter::EnterCore, error::to_python, export::bytes};

#[pyclass(module = "becas_ft._core", frozen)]
pub(crate) struct Reservation(Mutex<Option<store::Reservation>>);

impl Reservation {
    pub(crate) fn new(reservation: store::Reservation) -> Self {
        Self(Mutex::new(Some(reservation)))
    }

    pub(crate) fn take(&self) -> Option<store::Reservation> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

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

    fn poll<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let mut held = self.submitted.lock().unwrap_or_else(PoisonError::into_inner);
        let answer = held.as_mut().ok_or(Error::Closed).map(engine::Submitted::poll);
        let answer = answer.map_err(to_python)?.transpose().map_err(to_python)?;
        Ok(answer.map(|answer| PyBytes::new(py, &bytes(&answer))))
    }

    fn stages(&self) -> Vec<(&'static str, f64)> {
        let laps = self.laps.iter().flat_map(Laps::stages);
        laps.map(|(stage, spent)| (stage.name(), spent.as_secs_f64())).collect()
    }
}
