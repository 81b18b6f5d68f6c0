//! The core's configuration, with the design's defaults. Python sends it as JSON; unknown keys are errors.

use serde::Deserialize;

use crate::error::{Error, Result};

/// Everything that the core can be told.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Weights, limits and thresholds.
    pub scoring: Scoring,
    /// Sizes and ages.
    pub store: Store,
    /// Limits on requests.
    pub limits: Limits,
}

/// The factor table; points are in 1/10,000 of a score, confidences too.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(missing_docs, reason = "each is a row of the factor table")]
pub struct Scoring {
    /// Per cent of the confidence.
    pub confidence_percent: u32,
    pub detailed_reasoning: u32,
    pub clear_outcome: u32,
    pub human_validation: u32,
    pub rag_enhancement: u32,
    pub multiple_precedents: u32,
    pub contextual_data: u32,
    pub edge_case: u32,
    pub common_pattern: u32,
    /// Code points from which a reasoning is detailed.
    pub reasoning_length: u32,
    pub reasoning_length_moderation: u32,
    pub reasoning_length_policy: u32,
    /// More precedents than this are multiple.
    pub precedents_over: i64,
    /// More users than this are context.
    pub network_users_over: usize,
    /// An absolute change of trust up to this is common.
    pub common_trust_delta: f64,
    /// The confidence (1/10,000) from which a decision counts as a success.
    pub success_confidence: u32,
    pub gold: u16,
    pub silver: u16,
    pub bronze: u16,
}

impl Default for Scoring {
    fn default() -> Self {
        Self {
            confidence_percent: 35,
            detailed_reasoning: 1500,
            clear_outcome: 1500,
            human_validation: 2000,
            rag_enhancement: 1000,
            multiple_precedents: 500,
            contextual_data: 1000,
            edge_case: 1000,
            common_pattern: 500,
            reasoning_length: 50,
            reasoning_length_moderation: 20,
            reasoning_length_policy: 30,
            precedents_over: 2,
            network_users_over: 3,
            common_trust_delta: 10.0,
            success_confidence: 8000,
            gold: 9000,
            silver: 7500,
            bronze: 6000,
        }
    }
}

/// Sizes and ages of what is stored.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Store {
    /// Examples kept in each category.
    pub capacity: u64,
    /// Bytes of address space to begin with; grows by itself.
    pub map_size: u64,
    /// Bytes past which ingest answers RESOURCE_EXHAUSTED.
    pub map_size_limit: u64,
    /// How long event ids are remembered, in days.
    pub idempotency_days: u32,
    /// How many event ids are remembered.
    pub idempotency_ids: u64,
    /// Bytes of events that may wait for the writer.
    pub queue_bytes: u64,
    /// Events in one commit.
    pub commit_events: usize,
    /// Maximum age of examples by category name, in days; absent: kept for good.
    pub retention_days: std::collections::BTreeMap<String, u32>,
    /// Whether a guild that never said anything has consented.
    pub consent_by_default: bool,
    /// Open the store on NFS, SMB, 9p or FUSE all the same; LMDB's locks and its map are not safe there.
    pub allow_network_filesystem: bool,
}

impl Default for Store {
    fn default() -> Self {
        Self {
            capacity: 50_000,
            map_size: 256 << 20,
            map_size_limit: 64 << 30,
            idempotency_days: 30,
            idempotency_ids: 10_000_000,
            queue_bytes: 64 << 20,
            commit_events: 5_000,
            retention_days: std::collections::BTreeMap::new(),
            consent_by_default: true,
            allow_network_filesystem: false,
        }
    }
}

/// Limits on requests, in bytes unless said.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// One whole event.
    pub event_bytes: usize,
    /// One text field.
    pub text_bytes: usize,
    /// One id.
    pub id_bytes: usize,
    /// Events in one request.
    pub batch_events: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { event_bytes: 1 << 20, text_bytes: 65_536, id_bytes: 256, batch_events: 5_000 }
    }
}

impl Config {
    /// Reads JSON over the defaults, and names every problem at once.
    pub fn from_json(json: &str) -> Result<Self> {
        let config: Self =
            serde_json::from_str(json).map_err(|error| Error::Config(error.to_string()))?;
        config.validate()?;
        Ok(config)
    }

    /// Checks what the types cannot.
    pub fn validate(&self) -> Result<()> {
        let mut problems = Vec::new();
        let scoring = &self.scoring;
        if !(scoring.bronze <= scoring.silver && scoring.silver <= scoring.gold) {
            problems.push("scoring: bronze ≤ silver ≤ gold must hold".to_owned());
        }
        if scoring.gold > 10_000 {
            problems.push("scoring.gold: at most 10000".to_owned());
        }
        if self.store.capacity == 0 {
            problems.push("store.capacity: at least 1".to_owned());
        }
        if self.store.map_size_limit < self.store.map_size {
            problems.push("store.map_size_limit: at least store.map_size".to_owned());
        }
        for name in self.store.retention_days.keys() {
            if crate::category::Category::from_name(name).is_none() {
                problems.push(format!("store.retention_days.{name}: no such category"));
            }
        }
        if problems.is_empty() { Ok(()) } else { Err(Error::Config(problems.join("; "))) }
    }
}
