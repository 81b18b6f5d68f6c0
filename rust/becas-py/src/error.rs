//! The core's errors as Python exceptions, one class each.

use becas_core::error::Error;
use pyo3::{create_exception, exceptions::PyException, prelude::*};

create_exception!(becas_ft._core, CoreError, PyException);
create_exception!(becas_ft._core, InvalidArgumentError, CoreError);
create_exception!(becas_ft._core, NotFoundError, CoreError);
create_exception!(becas_ft._core, StoreFullError, CoreError);
create_exception!(becas_ft._core, DiskFullError, CoreError);
create_exception!(becas_ft._core, OverloadedError, CoreError);
create_exception!(becas_ft._core, DeadlineExceededError, CoreError);
create_exception!(becas_ft._core, KeyFileError, CoreError);
create_exception!(becas_ft._core, StoreError, CoreError);
create_exception!(becas_ft._core, DiskError, CoreError);
create_exception!(becas_ft._core, ConfigError, CoreError);
create_exception!(becas_ft._core, ClosedError, CoreError);

/// The exception of an error.
pub(crate) fn to_python(error: Error) -> PyErr {
    let text = error.to_string();
    match error {
        Error::InvalidArgument { field, problem } => {
            InvalidArgumentError::new_err((field, problem))
        }
        Error::NotFound { what } => with(NotFoundError::new_err(text), "what", what),
        Error::StoreFull { limit_bytes } => {
            with(StoreFullError::new_err(text), "limit_bytes", limit_bytes)
        }
        Error::DiskFull => DiskFullError::new_err(text),
        Error::Overloaded { queued_bytes } => {
            with(OverloadedError::new_err(text), "queued_bytes", queued_bytes)
        }
        Error::TooManyReaders => OverloadedError::new_err(text),
        Error::DeadlineExceeded => DeadlineExceededError::new_err(text),
        Error::Key { .. } => KeyFileError::new_err(text),
        Error::Store { problem } => with(StoreError::new_err(text), "problem", problem),
        Error::Io { problem } => with(DiskError::new_err(text), "problem", problem),
        Error::Config(_) => ConfigError::new_err(text),
        Error::Closed => ClosedError::new_err(text),
    }
}

/// The exception with a value of its text as an attribute, for who reads no text.
fn with<T: for<'py> IntoPyObject<'py>>(exception: PyErr, name: &str, value: T) -> PyErr {
    match Python::attach(|py| exception.value(py).setattr(name, value)) {
        Ok(()) => exception,
        Err(failure) => failure,
    }
}
