//! `becas_ft._core`: the binding, listed.

mod core;
mod enter;
mod error;
mod export;
mod memory;
mod submitted;
mod text;

use pyo3::prelude::*;

#[pymodule]
mod _core {
    use pyo3::prelude::*;

    // The open store.
    #[pymodule_export]
    use crate::core::Core;
    #[pymodule_export]
    use crate::export::Export;
    #[pymodule_export]
    use crate::submitted::{Reservation, Submitted};

    // Without a store.
    #[pymodule_export]
    use crate::text::{categories, events_from_json, output_schema, redact_line, system};

    // Errors.
    #[pymodule_export]
    use crate::error::{
        ClosedError, ConfigError, CoreError, DeadlineExceededError, DiskError, DiskFullError,
        InvalidArgumentError, KeyFileError, NotFoundError, OverloadedError, StoreError,
        StoreFullError,
    };

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}
