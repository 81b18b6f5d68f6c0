//! `Export`: an iterator over the pieces of a dataset.

use std::sync::{Arc, Mutex, PoisonError};

use becas_core::{engine::Engine, export::Parts};
use pyo3::{prelude::*, types::PyBytes};

use crate::{core::now_ms, enter::EnterCore, memory};

#[pyclass(module = "becas_ft._core", frozen)]
pub(crate) struct Export {
    engine: Arc<Engine>,
    parts: Mutex<Parts>,
}

impl Export {
    pub(crate) fn new(engine: Arc<Engine>, parts: Parts) -> Self {
        Self { engine, parts: Mutex::new(parts) }
    }
}

#[pymethods]
impl Export {
    fn __iter__(this: Py<Self>) -> Py<Self> {
        this
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let piece = py.enter_core(|| {
            let mut parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
            let piece = self.engine.next_part(&mut parts, now_ms())?;
            if piece.is_none() {
                memory::give_back();
            }
            Ok(piece.map(|piece| bytes(&piece)))
        })?;
        Ok(piece.map(|piece| PyBytes::new(py, &piece)))
    }
}

/// The bytes of a message.
pub(crate) fn bytes(message: &impl becas_core::Message) -> Vec<u8> {
    message.encode_to_vec()
}
