//! The one door into the core: releases the GIL, refuses forked children, maps errors.

use std::{process, sync::OnceLock};

use becas_core::error::{Error, Result};
use pyo3::prelude::*;

use crate::error::to_python;

static FIRST_PROCESS: OnceLock<u32> = OnceLock::new();

/// Calls into the core without the GIL.
pub(crate) trait EnterCore {
    /// Runs `call` without the GIL; its error becomes the Python exception of its kind.
    fn enter_core<T: Send, F: FnOnce() -> Result<T> + Send>(self, call: F) -> PyResult<T>;

    /// The same with the GIL, for calls of microseconds that wait for nobody: whoever gives it up may get it back
    /// after another thread's five milliseconds.
    fn ask_core<T, F: FnOnce() -> Result<T>>(self, call: F) -> PyResult<T>;
}

impl EnterCore for Python<'_> {
    fn enter_core<T: Send, F: FnOnce() -> Result<T> + Send>(self, call: F) -> PyResult<T> {
        refuse_children()?;
        self.detach(call).map_err(to_python)
    }

    fn ask_core<T, F: FnOnce() -> Result<T>>(self, call: F) -> PyResult<T> {
        refuse_children()?;
        call().map_err(to_python)
    }
}

/// LMDB's environment and its writer thread do not survive a fork.
fn refuse_children() -> PyResult<()> {
    if *FIRST_PROCESS.get_or_init(process::id) == process::id() {
        return Ok(());
    }
    Err(to_python(Error::Store {
        problem: "a forked child cannot use its parent's store: start processes with spawn"
            .to_owned(),
    }))
}
