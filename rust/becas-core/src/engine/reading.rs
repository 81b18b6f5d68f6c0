//! Examples out: one, a page, a dataset.

use prost_types::Timestamp;

use super::{Engine, decode};
use crate::{
    category::Category,
    draft,
    error::{Error, Result},
    example::Example,
    export::{self, Context, Parts},
    proto::{self, export_response::Part},
    pseudonym::Pseudonym,
    score::Tier,
    store::{ExampleId, Filter},
};

const DEFAULT_PAGE: usize = 50;
const LARGEST_PAGE: usize = 1_000;

impl Engine {
    /// One example, by an encoded GetExampleRequest.
    pub fn get_example(&self, request: &[u8]) -> Result<proto::GetExampleResponse> {
        let request: proto::GetExampleRequest = decode(request)?;
        let id: ExampleId = request.example_id.parse()?;
        let example = self.store.get(id)?;
        Ok(proto::GetExampleResponse { example: Some(message(id, &example)) })
    }

    /// A page of examples, by an encoded ListExamplesRequest.
    pub fn list_examples(&self, request: &[u8]) -> Result<proto::ListExamplesResponse> {
        let request: proto::ListExamplesRequest = decode(request)?;
        let limit = page_size(request.page_size)?;
        let filter = filter(&request)?;
        let seal = self.seal(&request);
        let mut after = token(&request.page_token, &seal)?;
        let mut examples = Vec::new();
        loop {
            let page = self.store.list(filter, after, limit - examples.len())?;
            examples.extend(page.examples.iter().map(|(id, example)| message(*id, example)));
            after = page.next;
            if after.is_none() || examples.len() >= limit {
                break;
            }
        }
        Ok(proto::ListExamplesResponse {
            examples,
            next_page_token: after.map(|id| format!("{seal}.{id}")).unwrap_or_default(),
        })
    }

    /// Decides an export, by an encoded ExportRequest; its pieces are asked for one by one.
    pub fn export(&self, request: &[u8]) -> Result<Parts> {
        let request: proto::ExportRequest = decode(request)?;
        let context = Context::new(&self.key);
        export::plan(&self.store, &request, &context)?.into_parts()
    }

    /// The next piece of an export; the dataset is on record before its manifest is given away.
    pub fn next_part(
        &self,
        parts: &mut Parts,
        now_ms: i64,
    ) -> Result<Option<proto::ExportResponse>> {
        let piece = parts.next_part(&self.store)?;
        if let Some(Part::Manifest(manifest)) = piece.as_ref().and_then(|piece| piece.part.as_ref())
        {
            self.store.file_dataset(&manifest.dataset_id, parts.written(), now_ms)?;
        }
        Ok(piece)
    }

    // A token belongs to its filters: with others it would skip or repeat examples.
    fn seal(&self, request: &proto::ListExamplesRequest) -> String {
        let filters =
            format!("{}/{}/{}", request.category, request.min_tier, request.include_superseded);
        Pseudonym(self.key.digest(filters.as_bytes())).to_string()
    }
}

fn page_size(asked: i32) -> Result<usize> {
    match usize::try_from(asked) {
        Ok(0) => Ok(DEFAULT_PAGE),
        Ok(size) => Ok(size.min(LARGEST_PAGE)),
        Err(_) => Err(Error::InvalidArgument {
            field: "page_size".to_owned(),
            problem: "is below 0: send 0 for the default, or 1 to 1000".to_owned(),
        }),
    }
}

fn filter(request: &proto::ListExamplesRequest) -> Result<Filter> {
    let category = match request.category {
        0 => None,
        number => Some(known(Category::from_number(number), "category")?),
    };
    let min_tier = match request.min_tier {
        0 => None,
        number => Some(known(Tier::from_number(number), "min_tier")?),
    };
    Ok(Filter { category, min_tier, include_superseded: request.include_superseded })
}

fn known<T>(value: Option<T>, field: &str) -> Result<T> {
    value.ok_or_else(|| Error::InvalidArgument {
        field: field.to_owned(),
        problem: "is not a value of the enum: see the protos".to_owned(),
    })
}

fn token(token: &str, seal: &str) -> Result<Option<ExampleId>> {
    if token.is_empty() {
        return Ok(None);
    }
    token
        .split_once('.')
        .filter(|(sealed, _)| *sealed == seal)
        .and_then(|(_, id)| id.parse().ok())
        .map(Some)
        .ok_or_else(|| Error::InvalidArgument {
            field: "page_token".to_owned(),
            problem: "does not belong to these filters: start again without a token".to_owned(),
        })
}

fn message(id: ExampleId, example: &Example) -> proto::Example {
    proto::Example {
        example_id: id.to_string(),
        category: example.category as i32,
        system: draft::system(example.category).to_owned(),
        input: example.input.as_str().to_owned(),
        output: example.output.as_str().to_owned(),
        label: example.label.as_str().to_owned(),
        score: example.score.as_f64(),
        tier: example.tier as i32,
        outcome: example.outcome as i32,
        time: Some(timestamp(example.time_ms)),
        event: example.event.to_string(),
        user: example.user.map(|user| user.to_string()).unwrap_or_default(),
        guild: example.guild.map(|guild| guild.to_string()).unwrap_or_default(),
        human_validated: example.human_validated,
        rag_enhanced: example.rag_enhanced,
        superseded: example.superseded,
        corrected_twin: example.corrected_twin,
        event_name: example.kind.name().to_owned(),
    }
}

fn timestamp(time_ms: i64) -> Timestamp {
    #[expect(clippy::cast_possible_truncation, reason = "under 1,000 million")]
    let nanos = (time_ms.rem_euclid(1_000) * 1_000_000) as i32;
    Timestamp { seconds: time_ms.div_euclid(1_000), nanos }
}
