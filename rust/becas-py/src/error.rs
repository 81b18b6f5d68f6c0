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
        Error::NotFound { .. } => NotFoundError::new_err(text),
        Error::StoreFull { .. } => StoreFullError::new_err(text),
        Error::DiskFull => DiskFullError::new_err(text),
        Error::Overloaded { .. } | Error::TooManyReaders => OverloadedError::new_err(text),
        Error::DeadlineExceeded => DeadlineExceededError::new_err(text),
        Error::Key { .. } => KeyFileError::new_err(text),
        Error::Store { .. } => StoreError::new_err(text),
        Error::Io { .. } => DiskError::new_err(text),
        Error::Config(_) => ConfigError::new_err(text),
        Error::Closed => ClosedError::new_err(text),
    }
}
