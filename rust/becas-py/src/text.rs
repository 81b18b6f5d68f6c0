//! What needs no store: bots' JSON, redaction, instructions and schemas.

use std::sync::LazyLock;

use becas_core::{
    category::{Category, Target},
    draft,
    error::Error,
    json,
    redact::{Ids, Redactor, in_code_points},
};
use pyo3::{prelude::*, types::PyBytes};

use crate::{enter::EnterCore, export::bytes};

static REDACTOR: LazyLock<Redactor> = LazyLock::new(Redactor::new);

type FoundSpans = Vec<(usize, usize, &'static str)>;
type Parsed<'py> = (Option<Bound<'py, PyBytes>>, Option<String>);

#[pyfunction]
#[expect(clippy::needless_pass_by_value, reason = "PyO3 hands over what it converted")]
pub(crate) fn events_from_json(py: Python<'_>, lines: Vec<String>) -> PyResult<Vec<Parsed<'_>>> {
    let parsed = py.enter_core(|| {
        Ok(lines.iter().map(|line| json::event_from_json(line)).collect::<Vec<_>>())
    })?;
    Ok(parsed
        .into_iter()
        .map(|event| match event {
            Ok(event) => (Some(PyBytes::new(py, &bytes(&event))), None),
            Err(invalid) => (None, Some(invalid.to_string())),
        })
        .collect())
}

#[pyfunction]
pub(crate) fn redact_line(py: Python<'_>, text: &str) -> PyResult<(String, FoundSpans)> {
    py.enter_core(|| {
        let ids = Ids::default();
        let spans = REDACTOR.spans(text, &ids);
        let redacted = REDACTOR.replace(text, &spans, &ids);
        let found = in_code_points(&spans, text);
        let found = found.iter().map(|span| (span.start, span.end, span.kind.name())).collect();
        Ok((redacted.as_str().to_owned(), found))
    })
}

#[pyfunction]
pub(crate) fn system(py: Python<'_>, category: &str) -> PyResult<&'static str> {
    py.enter_core(|| named(category).map(draft::system))
}

#[pyfunction]
pub(crate) fn output_schema(py: Python<'_>, category: &str) -> PyResult<String> {
    py.enter_core(|| named(category).map(draft::output_schema))
}

#[pyfunction]
pub(crate) fn categories() -> Vec<(&'static str, &'static str, &'static str)> {
    Category::ALL
        .map(|category| (category.name(), category.label_key(), target(category.target())))
        .to_vec()
}

const fn target(target: Target) -> &'static str {
    match target {
        Target::Qwen => "qwen",
        Target::Llama => "llama",
        Target::General => "general",
        Target::All => "all",
    }
}

fn named(category: &str) -> Result<Category, Error> {
    Category::from_name(category).ok_or_else(|| Error::InvalidArgument {
        field: "category".to_owned(),
        problem: "is not a category: `becas-ft stats` lists them".to_owned(),
    })
}
