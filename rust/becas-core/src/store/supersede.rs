//! Corrections: the event that one names is superseded and gets a twin, whichever of the two came first.

use super::{
    admit::{Plan, beats},
    codec::{self, Header},
    environment::Failure,
    index::Place,
    reason,
    remembered::Fate,
    schema::{ExampleId, number_key, pending_key},
    waiting::{Filed, Labelling, LabellingCase},
};
use crate::{
    correct::Original,
    error::Result,
    example::{CorrectionOf, Example},
    pseudonym::Pseudonym,
    redact::Redacted,
};

impl Plan<'_, '_> {
    /// Takes an ai.correction's word about another event: for the outbox, and to be applied now or when that comes.
    pub(super) fn file(
        &mut self,
        event: Pseudonym,
        correction: &CorrectionOf,
    ) -> std::result::Result<Option<&'static str>, Failure> {
        if correction.original == event {
            return Ok(None);
        }
        let place = self.find(&correction.original)?;
        if self.is_erased(place)? {
            return Ok(None);
        }
        let filed =
            Filed { event, arrived_ms: self.now_ms, correction: correction.clone() }.encode();
        self.index.counters.outbox += 1;
        let cursor = number_key(self.index.counters.outbox);
        self.tables.outbox.put(self.txn, &cursor, &filed)?;
        if !correction.verified {
            return Ok(None);
        }
        if place.is_some() {
            return self.correct(correction);
        }
        self.index.counters.arrivals += 1;
        let key = pending_key(correction.original, self.index.counters.arrivals);
        self.tables.pending.put(self.txn, &key, &filed)?;
        self.index.add_pending(correction.original);
        Ok(None)
    }

    fn is_erased(&self, place: Option<Place>) -> Result<bool> {
        match place {
            Some(Place::Remembered(number)) => {
                Ok(self.entry(number)?.is_some_and(|entry| entry.fate == Fate::Erased))
            }
            Some(Place::Example(_)) | None => Ok(false),
        }
    }

    /// Takes the corrections that waited for an event, in the order in which they came.
    pub(super) fn take_waiting(
        &mut self,
        original: &Pseudonym,
        guild: Option<Pseudonym>,
    ) -> std::result::Result<Vec<CorrectionOf>, Failure> {
        if !self.index.waits(original) {
            return Ok(Vec::new());
        }
        let mut waiting = Vec::new();
        for found in self.tables.pending.prefix_iter(self.txn, &original.0)? {
            let (key, bytes) = found?;
            // A damaged one goes with the rest: it must not keep its original from being stored.
            waiting.push((key.to_vec(), Filed::decode(bytes).ok().map(|filed| filed.correction)));
        }
        for (key, _) in &waiting {
            self.tables.pending.delete(self.txn, key)?;
            self.index.remove_pending(*original);
        }
        // Another guild's correction can never apply to this event: it is dropped with the rest.
        Ok(waiting
            .into_iter()
            .filter_map(|(_, correction)| correction)
            .filter(|correction| correction.guild == guild)
            .collect())
    }

    /// Applies a verified correction to a known event.
    pub(super) fn correct(
        &mut self,
        correction: &CorrectionOf,
    ) -> std::result::Result<Option<&'static str>, Failure> {
        match self.find(&correction.original)? {
            None => Ok(None),
            Some(Place::Example(id)) => {
                let Some(example) = self.supersede(id, correction)? else { return Ok(None) };
                let original = Original {
                    event: example.event,
                    kind: example.kind,
                    category: example.category,
                    user: example.user,
                    guild: example.guild,
                    time_ms: example.time_ms,
                    label: example.label.as_str(),
                    stored: Some(&example),
                };
                self.teach(&original, Some(id), correction)
            }
            Some(Place::Remembered(number)) => {
                let Some(entry) = self.entry(number)? else { return Ok(None) };
                if entry.fate == Fate::Erased || entry.guild != correction.guild {
                    return Ok(None);
                }
                let original = Original {
                    event: entry.event,
                    kind: entry.kind,
                    category: entry.category,
                    user: entry.user,
                    guild: entry.guild,
                    time_ms: entry.time_ms,
                    label: &entry.label,
                    stored: None,
                };
                self.teach(&original, None, correction)
            }
        }
    }

    /// Marks a stored example of the correction's guild, and returns it.
    fn supersede(
        &mut self,
        id: ExampleId,
        correction: &CorrectionOf,
    ) -> std::result::Result<Option<Example>, Failure> {
        let found = self.tables.examples.get(self.txn, &id.key())?;
        let Some(mut bytes) = found.map(<[u8]>::to_vec) else { return Ok(None) };
        // A damaged original can be neither marked nor taught from; `verify` names it.
        let Ok(record) = codec::decode(id, &bytes) else { return Ok(None) };
        let (header, example) = (record.header, record.to_example());
        if header.guild != correction.guild {
            return Ok(None);
        }
        if !header.superseded {
            codec::supersede(&mut bytes, false);
            self.tables.examples.put(self.txn, &id.key(), &bytes)?;
            failpoint!("correct::superseded");
            self.index.counters.stats.remove(&header);
            self.index.counters.stats.add(&Header { superseded: true, ..header });
        }
        Ok(Some(example))
    }

    /// Stores the twin, or files the case for a person to label.
    fn teach(
        &mut self,
        original: &Original<'_>,
        stored: Option<ExampleId>,
        correction: &CorrectionOf,
    ) -> std::result::Result<Option<&'static str>, Failure> {
        let key = original.event.0;
        if let Some(twin) = (self.rules.twin)(original, correction) {
            self.store_twin(twin, stored)?;
            let solved = Labelling::Solved { arrived_ms: self.now_ms }.encode();
            self.tables.labelling.put(self.txn, &key, &solved)?;
            return Ok(None);
        }
        if self.tables.labelling.get(self.txn, &key)?.is_none() {
            let case = LabellingCase {
                original: original.event,
                kind: original.kind,
                category: original.category,
                user: original.user,
                label: Redacted::trusted(original.label),
                example: stored,
                correction: correction.clone(),
            };
            let case = Labelling::Open(Box::new(case)).encode();
            self.tables.labelling.put(self.txn, &key, &case)?;
        }
        Ok(Some(reason::NO_CORRECTED_LABEL))
    }

    fn store_twin(
        &mut self,
        mut twin: Example,
        original: Option<ExampleId>,
    ) -> std::result::Result<(), Failure> {
        twin.corrected_twin = true;
        twin.superseded = false;
        let mut record = Vec::new();
        let header = codec::encode(&twin, &mut record)?;
        let holder = self.holder(header.category, &header.digest);
        let own = holder.as_ref().is_some_and(|holder| Some(holder.id) == original);
        if let Some(holder) = &holder
            && holder.header.corrected_twin
            && !twin_beats(&header, twin.output.as_str(), &holder.header, &holder.output)
        {
            return Ok(());
        }
        if !self.fits(&header, usize::from(holder.is_some() && !own)) {
            return Ok(());
        }
        match holder {
            Some(holder) if own => self.yield_input(holder.id, &holder.header)?,
            Some(holder) => {
                self.remove(holder.id, &holder.header, &holder.label, Fate::Gone)?;
                self.tally.replaced += 1;
            }
            None => {}
        }
        self.store(&header, &record)?;
        Ok(())
    }

    /// The superseded original stays, but its twin answers for the input.
    fn yield_input(&mut self, id: ExampleId, header: &Header) -> std::result::Result<(), Failure> {
        let found = self.tables.examples.get(self.txn, &id.key())?;
        let Some(mut bytes) = found.map(<[u8]>::to_vec) else { return Ok(()) };
        codec::supersede(&mut bytes, true);
        self.tables.examples.put(self.txn, &id.key(), &bytes)?;
        self.index.remove_input(&header.digest, id);
        Ok(())
    }
}

/// Twins of one event share its id; where all else is equal too, the text decides, so that the order of arrival does not.
fn twin_beats(twin: &Header, output: &str, holder: &Header, held_output: &str) -> bool {
    beats(twin, holder) || (!beats(holder, twin) && output < held_output)
}
