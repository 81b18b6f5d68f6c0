//! `Core`: one open store with its pipeline.

use std::{
    collections::BTreeMap,
    io::Write,
    os::{
        fd::{IntoRawFd, RawFd},
        unix::net::UnixStream,
    },
    path::Path,
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use becas_core::{
    config::Config,
    engine::{Correction, Engine, WaitingCase},
    error::Error,
    pseudonym::IdKind,
};
use pyo3::{prelude::*, types::PyBytes};
use serde_json::json;

use crate::{
    enter::EnterCore,
    error::to_python,
    export::{Export, bytes},
    memory,
    submitted::{Reservation, Submitted},
};

/// (upper bound, values up to it), and the sum of the values.
type Histogram = (Vec<(f64, f64)>, f64);

#[pyclass(module = "becas_ft._core", frozen)]
pub(crate) struct Core(Arc<Engine>);

#[pymethods]
impl Core {
    #[new]
    #[pyo3(signature = (data_dir, config_json = "{}", key_path = ""))]
    fn open(py: Python<'_>, data_dir: &str, config_json: &str, key_path: &str) -> PyResult<Self> {
        let engine = py.enter_core(|| {
            let key = (!key_path.is_empty()).then(|| Path::new(key_path));
            Engine::open(Path::new(data_dir), key, Config::from_json(config_json)?)
        })?;
        Ok(Self(Arc::new(engine)))
    }

    #[pyo3(signature = (request, *, labeller = true, timeout = None))]
    fn ingest<'py>(
        &self,
        py: Python<'py>,
        request: &[u8],
        labeller: bool,
        timeout: Option<f64>,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let answer = py.enter_core(|| {
            self.0
                .ingest(request, now_ms(), labeller, deadline(timeout))
                .map(|answer| bytes(&answer))
        })?;
        Ok(PyBytes::new(py, &answer))
    }

    fn reserve(&self, size: usize) -> PyResult<Reservation> {
        self.0.store().reserve(size).map(Reservation::new).map_err(to_python)
    }

    #[pyo3(signature = (request, reservation = None, *, labeller = true, timeout = None, timed = false))]
    fn submit(
        &self,
        py: Python<'_>,
        request: &[u8],
        reservation: Option<&Reservation>,
        labeller: bool,
        timeout: Option<f64>,
        timed: bool,
    ) -> PyResult<Submitted> {
        let submit = if timed { Engine::submit_timed } else { Engine::submit };
        py.enter_core(|| {
            let held = reservation.and_then(Reservation::take);
            let reservation = held.map_or_else(|| self.0.store().reserve(request.len()), Ok)?;
            submit(&self.0, request, reservation, now_ms(), labeller, deadline(timeout))
        })
        .map(Submitted::new)
    }

    fn wakes(&self) -> PyResult<RawFd> {
        let (theirs, ours) = UnixStream::pair()?;
        theirs.set_nonblocking(true)?;
        ours.set_nonblocking(true)?;
        self.0.store().on_answers(move || {
            // Full: it is readable already.
            let _full = (&ours).write(&[0]);
        });
        Ok(theirs.into_raw_fd())
    }

    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let answer = py.enter_core(|| self.0.stats().map(|answer| bytes(&answer)))?;
        Ok(PyBytes::new(py, &answer))
    }

    fn recount<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let answer = py.enter_core(|| self.0.recount().map(|answer| bytes(&answer)))?;
        Ok(PyBytes::new(py, &answer))
    }

    fn list_examples<'py>(&self, py: Python<'py>, request: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
        let answer =
            py.enter_core(|| self.0.list_examples(request).map(|answer| bytes(&answer)))?;
        Ok(PyBytes::new(py, &answer))
    }

    fn get_example<'py>(&self, py: Python<'py>, request: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
        let answer = py.enter_core(|| self.0.get_example(request).map(|answer| bytes(&answer)))?;
        Ok(PyBytes::new(py, &answer))
    }

    fn export(&self, py: Python<'_>, request: &[u8]) -> PyResult<Export> {
        let parts = py.enter_core(|| {
            // What ingest left would lie below the peak of the plan, and what the plan leaves below the pieces.
            memory::give_back();
            let parts = self.0.export(request);
            memory::give_back();
            parts
        })?;
        Ok(Export::new(Arc::clone(&self.0), parts))
    }

    fn forget(&self, py: Python<'_>, user_id: &str) -> PyResult<(u64, u64, Vec<String>)> {
        py.enter_core(|| self.0.forget(user_id, now_ms()))
            .map(|erased| (erased.examples, erased.others, erased.datasets))
    }

    fn set_consent(&self, py: Python<'_>, guild_id: &str, granted: bool) -> PyResult<u64> {
        py.enter_core(|| self.0.set_consent(guild_id, granted, now_ms()))
    }

    fn has_consent(&self, py: Python<'_>, guild_id: &str) -> PyResult<bool> {
        py.enter_core(|| self.0.consent(guild_id))
    }

    fn has_consent_at_once(&self, py: Python<'_>, guild_id: &str) -> PyResult<Option<bool>> {
        py.ask_core(|| self.0.consent_at_once(guild_id))
    }

    fn expire(&self, py: Python<'_>) -> PyResult<u64> {
        py.enter_core(|| self.0.expire(now_ms()))
    }

    fn prompt(&self, py: Python<'_>, request: &[u8]) -> PyResult<(String, String)> {
        let prompt = py.enter_core(|| self.0.prompt(request))?;
        Ok((prompt.system.to_owned(), prompt.input.as_str().to_owned()))
    }

    fn pseudonym(&self, py: Python<'_>, kind: &str, raw: &str) -> PyResult<String> {
        py.ask_core(|| Ok(self.0.pseudonym(id_kind(kind)?, raw).to_string()))
    }

    fn redact(&self, py: Python<'_>, text: &str) -> PyResult<String> {
        py.enter_core(|| Ok(self.0.redact(text).as_str().to_owned()))
    }

    fn outbox(&self, py: Python<'_>, after: u64, limit: usize) -> PyResult<Vec<(u64, String)>> {
        let found = py.enter_core(|| self.0.outbox(after, limit))?;
        Ok(found.into_iter().map(|entry| (entry.cursor, correction(&entry))).collect())
    }

    fn outbox_trim(&self, py: Python<'_>, up_to: u64) -> PyResult<()> {
        py.enter_core(|| self.0.outbox_trim(up_to))
    }

    fn labelling_queue(&self, py: Python<'_>, limit: usize) -> PyResult<Vec<String>> {
        let found = py.enter_core(|| self.0.labelling_queue(limit))?;
        Ok(found.iter().map(waiting).collect())
    }

    fn metrics(&self, py: Python<'_>) -> PyResult<BTreeMap<&'static str, f64>> {
        py.enter_core(|| self.0.metrics())
    }

    fn histograms(&self, py: Python<'_>) -> PyResult<BTreeMap<&'static str, Histogram>> {
        let found = py.enter_core(|| Ok(self.0.histograms()))?;
        Ok(found.into_iter().map(|(name, one)| (name, (one.buckets, one.sum))).collect())
    }

    fn quality_histogram<'py>(
        &self,
        py: Python<'py>,
        request: &[u8],
    ) -> PyResult<Bound<'py, PyBytes>> {
        let answer =
            py.enter_core(|| self.0.quality_histogram(request).map(|answer| bytes(&answer)))?;
        Ok(PyBytes::new(py, &answer))
    }

    fn verify(&self, py: Python<'_>) -> PyResult<Vec<String>> {
        py.enter_core(|| self.0.verify())
    }

    fn repair(&self, py: Python<'_>) -> PyResult<Vec<String>> {
        py.enter_core(|| self.0.repair())
    }

    fn copy_to(&self, py: Python<'_>, directory: &str) -> PyResult<()> {
        py.enter_core(|| self.0.copy_to(Path::new(directory)))
    }

    fn outbox_end(&self, py: Python<'_>) -> PyResult<u64> {
        py.enter_core(|| self.0.store().outbox_end())
    }

    fn close(&self, py: Python<'_>) -> PyResult<()> {
        py.enter_core(|| {
            self.0.close();
            Ok(())
        })
    }
}

/// The moment after so many seconds.
fn deadline(timeout: Option<f64>) -> Option<Instant> {
    timeout
        .and_then(|seconds| Duration::try_from_secs_f64(seconds.max(0.0)).ok())
        .and_then(|left| Instant::now().checked_add(left))
}

#[expect(clippy::disallowed_methods, reason = "the binding is where the core gets its clock from")]
pub(crate) fn now_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_millis()).unwrap_or(i64::MAX)
}

fn id_kind(name: &str) -> Result<IdKind, Error> {
    match name {
        "user" => Ok(IdKind::User),
        "guild" => Ok(IdKind::Guild),
        "channel" => Ok(IdKind::Channel),
        "message" => Ok(IdKind::Message),
        "event" => Ok(IdKind::Event),
        _ => Err(Error::InvalidArgument {
            field: "kind".to_owned(),
            problem: "must be user, guild, channel, message or event".to_owned(),
        }),
    }
}

fn correction(entry: &Correction) -> String {
    json!({
        "request": entry.request.to_string(),
        "label": entry.label,
        "mistake": entry.mistake,
        "verified": entry.verified,
        "time_ms": entry.time_ms,
        "guild": entry.guild.map(|guild| guild.to_string()),
    })
    .to_string()
}

fn waiting(case: &WaitingCase) -> String {
    json!({
        "event": case.event.to_string(),
        "category": case.category,
        "label": case.label,
        "input": case.input,
        "time_ms": case.time_ms,
    })
    .to_string()
}

impl Drop for Core {
    fn drop(&mut self) {
        self.0.close();
    }
}
