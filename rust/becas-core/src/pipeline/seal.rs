//! Raw text to redacted text: the only way from a draft to an example.

use crate::{
    draft::{self, Draft, Line, Question, RawIds, RawLine},
    pseudonym::IdKind,
    redact::{self, Ids, Redacted, Redactor},
};

/// The redactor with the ids of one event.
pub(super) struct Sealer<'a> {
    redactor: &'a Redactor,
    ids: Ids,
    /// The numbers by which the texts so far name people.
    named: Vec<String>,
}

/// A draft in redacted text.
pub(super) struct Sealed {
    pub(super) core: Vec<Line<Redacted>>,
    pub(super) context: Vec<Line<Redacted>>,
    pub(super) output: Vec<Line<Redacted>>,
    /// What a correction says of its original, in the draft's order.
    pub(super) correction: Option<SealedCorrection>,
    /// The numbers by which these texts named people before they were redacted. Never printed.
    pub(super) named: Vec<String>,
}

/// What a correction says of its original.
pub(super) struct SealedCorrection {
    pub(super) corrected_label: Option<Redacted>,
    pub(super) mistake: Redacted,
    pub(super) moderator_action: Option<Redacted>,
    pub(super) lesson: Redacted,
    pub(super) message: Redacted,
}

impl<'a> Sealer<'a> {
    pub(super) fn new(redactor: &'a Redactor, raw: &RawIds<'_>) -> Self {
        let mut sealer = Self { redactor, ids: Ids::new(), named: Vec::new() };
        for (kind, id) in &raw.all {
            sealer.add(*kind, id);
        }
        sealer
    }

    pub(super) fn add(&mut self, kind: IdKind, id: &str) {
        self.ids.add(kind, id);
    }

    /// A draft that is `kept` whole; of any other the label and what it corrects, which is all that is remembered of it.
    pub(super) fn seal(mut self, draft: &Draft<'_>, kept: bool) -> Sealed {
        let (core, context) =
            if kept { self.seal_question(&draft.question) } else { (vec![], vec![]) };
        let output =
            if kept { &draft.output[..] } else { draft.output.get(..1).unwrap_or_default() };
        let output = self.lines(output);
        let correction = draft.correction.map(|correction| {
            let decision = correction.ai_decision.as_ref();
            let action = correction.moderator_action.as_ref();
            SealedCorrection {
                corrected_label: self.stated(correction.corrected_label()),
                mistake: self.text(&correction.category),
                moderator_action: self.stated(action.map_or("", |action| &action.r#type)),
                lesson: self.text(&correction.lesson),
                message: self.text(decision.map_or("", |decision| &decision.context)),
            }
        });
        Sealed { core, context, output, correction, named: self.named }
    }

    pub(super) fn seal_question(
        &mut self,
        question: &Question<'_>,
    ) -> (Vec<Line<Redacted>>, Vec<Line<Redacted>>) {
        (self.lines(&question.core), self.lines(&question.context))
    }

    fn lines(&mut self, lines: &[RawLine<'_>]) -> Vec<Line<Redacted>> {
        lines.iter().map(|line| line.map(|raw| self.text(raw.expose()))).collect()
    }

    fn stated(&mut self, raw: &str) -> Option<Redacted> {
        if raw.trim().is_empty() { None } else { Some(self.text(raw)) }
    }

    /// Invisible characters go first, so that nothing hides from the patterns; control tokens last, so that no
    /// placeholder's removal could bring one about.
    fn text(&mut self, raw: &str) -> Redacted {
        let shown = draft::visible(raw);
        let spans = self.redactor.spans(&shown, &self.ids);
        redact::numbers(&shown, &spans, &mut self.named);
        let redacted = self.redactor.replace(&shown, &spans, &self.ids);
        match draft::neutralise(redacted.as_str()) {
            std::borrow::Cow::Borrowed(_) => redacted,
            std::borrow::Cow::Owned(safe) => Redacted::trusted(safe),
        }
    }
}
