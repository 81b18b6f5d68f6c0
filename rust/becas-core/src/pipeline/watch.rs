//! How long each stage of a request took, for whoever traces it; nobody pays for it otherwise.

use std::time::{Duration, Instant};

/// The stages that a request goes through before the writer, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Bytes to an event.
    Decode,
    /// An event to system, input and output.
    Draft,
    /// Points and tier.
    Score,
    /// Raw text to redacted text.
    Redact,
    /// The digest of the input.
    Dedupe,
    /// The record for the store.
    Assemble,
}

impl Stage {
    /// All of them, in their order.
    pub const ALL: [Self; 6] =
        [Self::Decode, Self::Draft, Self::Score, Self::Redact, Self::Dedupe, Self::Assemble];

    /// Its name in a trace.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Decode => "decode",
            Self::Draft => "draft",
            Self::Score => "score",
            Self::Redact => "redact",
            Self::Dedupe => "dedupe",
            Self::Assemble => "assemble",
        }
    }
}

/// Is told when a stage of an event has ended.
pub(crate) trait Watch: Send {
    /// Begins now.
    fn begin() -> Self;
    /// Takes in what ran on another thread at the same time.
    fn beside(&mut self, other: Self);
    /// What passed since the last call belongs to this stage.
    fn ended(&mut self, stage: Stage);
}

/// Nobody asks.
impl Watch for () {
    fn begin() -> Self {}
    fn beside(&mut self, (): Self) {}
    fn ended(&mut self, _: Stage) {}
}

/// Time by stage, summed over the events of a request; of events side by side, the longest sum.
#[derive(Clone, Copy, Debug)]
pub struct Laps {
    last: Instant,
    spent: [Duration; Stage::ALL.len()],
}

impl Laps {
    /// Each stage with its time.
    pub fn stages(&self) -> impl Iterator<Item = (Stage, Duration)> {
        Stage::ALL.into_iter().zip(self.spent)
    }
}

impl Watch for Laps {
    fn begin() -> Self {
        Self { last: Instant::now(), spent: [Duration::ZERO; Stage::ALL.len()] }
    }

    fn beside(&mut self, other: Self) {
        for (mine, theirs) in self.spent.iter_mut().zip(other.spent) {
            *mine = theirs.max(*mine);
        }
    }

    fn ended(&mut self, stage: Stage) {
        let now = Instant::now();
        self.spent[stage as usize] += now - self.last;
        self.last = now;
    }
}
