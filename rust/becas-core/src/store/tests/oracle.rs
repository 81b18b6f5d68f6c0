//! The rules of admission once more, over plain lists and written from the design: what the store must agree with.

use std::collections::{BTreeMap, BTreeSet};

use super::{Event, NOW, id, tier_of};
use crate::{
    category::{Category, EventKind},
    pseudonym::IdKind,
    score::Tier,
    store::Status,
};

/// An example, as it shows.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Shown {
    pub(super) category: &'static str,
    pub(super) event: [u8; 16],
    pub(super) input: String,
    pub(super) label: String,
    pub(super) points: u32,
    pub(super) time_ms: i64,
    pub(super) human: bool,
    pub(super) superseded: bool,
    pub(super) twin: bool,
}

#[derive(Clone, Debug)]
struct Stored {
    shown: Shown,
    name: String,
    kind: EventKind,
    guild: Option<String>,
    people: BTreeSet<String>,
    tier: Tier,
    /// Answers for its input.
    answers: bool,
    order: u64,
}

/// What is known of an event besides its example.
#[derive(Clone, Debug)]
struct Known {
    event: Event,
    erased: bool,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Oracle {
    capacity: usize,
    stored: Vec<Stored>,
    known: BTreeMap<String, Known>,
    pending: Vec<Event>,
    withdrawn: BTreeSet<String>,
    pub(super) outbox: Vec<Event>,
    /// `true`: solved.
    labelling: BTreeMap<String, (bool, Option<Event>)>,
    pub(super) rejected: BTreeMap<&'static str, u64>,
    pub(super) gold_ever: BTreeMap<&'static str, u64>,
    order: u64,
}

type Verdict = (Status, Vec<&'static str>);

impl Oracle {
    pub(super) fn of_capacity(capacity: usize) -> Self {
        Self { capacity, ..Self::default() }
    }

    pub(super) fn admit(&mut self, event: &Event) -> Verdict {
        if event.guild.as_ref().is_some_and(|guild| self.withdrawn.contains(guild)) {
            return (Status::Refused, vec![]);
        }
        if self.known.contains_key(&event.id) {
            return (Status::Duplicate, vec![]);
        }
        self.known.insert(event.id.clone(), Known { event: event.clone(), erased: false });
        let (status, mut reasons) = self.offer(event);
        let (mine, others): (Vec<_>, Vec<_>) = std::mem::take(&mut self.pending)
            .into_iter()
            .partition(|correction| correction.corrects.as_ref().unwrap().original == event.id);
        self.pending = others;
        let mine: Vec<_> =
            mine.into_iter().filter(|correction| correction.guild == event.guild).collect();
        if !mine.is_empty() && status == Status::Accepted {
            reasons.push("SUPERSEDED");
        }
        for correction in &mine {
            self.correct(correction, &mut reasons);
        }
        if let Some(corrects) = &event.corrects {
            let erased = self.known.get(&corrects.original).is_some_and(|known| known.erased);
            if corrects.original != event.id && !erased {
                self.outbox.push(event.clone());
                if corrects.verified {
                    if self.known.contains_key(&corrects.original) {
                        self.correct(event, &mut reasons);
                    } else {
                        self.pending.push(event.clone());
                    }
                }
            }
        }
        (status, reasons)
    }

    fn offer(&mut self, event: &Event) -> Verdict {
        if tier_of(event.points) == Tier::Reject {
            *self.rejected.entry("LOW_QUALITY").or_default() += 1;
            return (Status::Rejected, vec!["LOW_QUALITY"]);
        }
        let newcomer = self.example(event);
        let rival = self.rival(&newcomer);
        if let Some(rival) = rival {
            let holder = &self.stored[rival];
            let wins = match (holder.shown.twin, holder.shown.superseded) {
                (true, _) => false,
                (false, true) => newcomer.shown.human,
                (false, false) => better(&newcomer, holder),
            };
            if !wins {
                let same = holder.shown.label == newcomer.shown.label;
                return (Status::Duplicate, vec![if same { "SAME_INPUT" } else { "CONFLICT" }]);
            }
        }
        if !self.has_room(&newcomer, rival.is_some()) {
            *self.rejected.entry("CAPACITY").or_default() += 1;
            return (Status::Rejected, vec!["CAPACITY"]);
        }
        if let Some(rival) = rival {
            self.stored.remove(rival);
        }
        self.keep(newcomer);
        (Status::Accepted, if rival.is_some() { vec!["REPLACED"] } else { vec![] })
    }

    fn example(&mut self, event: &Event) -> Stored {
        self.order += 1;
        Stored {
            shown: Shown {
                category: event.category.name(),
                event: id(IdKind::Event, &event.id).0,
                input: event.input.clone(),
                label: event.label.clone(),
                points: event.points,
                time_ms: event.time_ms,
                human: event.human,
                superseded: false,
                twin: false,
            },
            name: event.id.clone(),
            kind: event.kind,
            guild: event.guild.clone(),
            people: event.user.iter().cloned().collect(),
            tier: tier_of(event.points),
            answers: true,
            order: self.order,
        }
    }

    fn rival(&self, newcomer: &Stored) -> Option<usize> {
        self.stored.iter().position(|other| {
            other.answers
                && other.shown.category == newcomer.shown.category
                && other.shown.input == newcomer.shown.input
        })
    }

    fn worst(&self, category: &str) -> Option<usize> {
        (0..self.stored.len())
            .filter(|at| self.stored[*at].shown.category == category)
            .min_by_key(|at| worth(&self.stored[*at]))
    }

    fn has_room(&self, newcomer: &Stored, one_leaves: bool) -> bool {
        let category = newcomer.shown.category;
        let held = self.stored.iter().filter(|other| other.shown.category == category).count();
        held - usize::from(one_leaves) < self.capacity
            || self.worst(category).is_none_or(|worst| worth(&self.stored[worst]) < worth(newcomer))
    }

    fn keep(&mut self, newcomer: Stored) {
        let category = newcomer.shown.category;
        while self.stored.iter().filter(|other| other.shown.category == category).count()
            >= self.capacity
        {
            let worst = self.worst(category).unwrap();
            self.stored.remove(worst);
        }
        if newcomer.tier == Tier::Gold {
            *self.gold_ever.entry(category).or_default() += 1;
        }
        self.stored.push(newcomer);
    }

    fn correct(&mut self, correction: &Event, reasons: &mut Vec<&'static str>) {
        let corrects = correction.corrects.clone().unwrap();
        let known = self.known[&corrects.original].clone();
        if known.erased || known.event.guild != correction.guild {
            return;
        }
        let own =
            self.stored.iter().position(|one| !one.shown.twin && one.name == corrects.original);
        if let Some(own) = own {
            self.stored[own].shown.superseded = true;
        }
        let label = corrects.label.clone().or_else(|| match known.event.label.as_str() {
            "true" => Some("false".to_owned()),
            "false" => Some("true".to_owned()),
            _ => None,
        });
        let Some(label) = label else {
            self.labelling
                .entry(corrects.original.clone())
                .or_insert((false, Some(correction.clone())));
            if !reasons.contains(&"NO_CORRECTED_LABEL") {
                reasons.push("NO_CORRECTED_LABEL");
            }
            return;
        };
        self.labelling.insert(corrects.original.clone(), (true, None));
        let input =
            own.map_or(corrects.message.clone(), |own| self.stored[own].shown.input.clone());
        self.order += 1;
        let twin = Stored {
            shown: Shown {
                category: known.event.category.name(),
                event: id(IdKind::Event, &corrects.original).0,
                input,
                label,
                points: correction.points,
                time_ms: correction.time_ms,
                human: true,
                superseded: false,
                twin: true,
            },
            name: corrects.original.clone(),
            kind: known.event.kind,
            guild: known.event.guild.clone(),
            people: known.event.user.iter().chain(&correction.user).cloned().collect(),
            tier: tier_of(correction.points),
            answers: true,
            order: self.order,
        };
        let rival = self.rival(&twin);
        let yields = rival.is_some() && rival == own;
        if let Some(rival) = rival {
            let holder = &self.stored[rival];
            let beaten = better(&twin, holder)
                || (!better(holder, &twin) && twin.shown.label < holder.shown.label);
            if holder.shown.twin && !beaten {
                return;
            }
        }
        if !self.has_room(&twin, rival.is_some() && !yields) {
            return;
        }
        match rival {
            Some(rival) if yields => self.stored[rival].answers = false,
            Some(rival) => {
                self.stored.remove(rival);
            }
            None => {}
        }
        self.keep(twin);
    }

    pub(super) fn forget(&mut self, user: &str) {
        let concerned = |event: &Event| event.user.as_deref() == Some(user);
        let erased: Vec<String> = self
            .stored
            .iter()
            .filter(|one| !one.shown.twin && one.people.contains(user))
            .map(|one| one.name.clone())
            .collect();
        self.stored.retain(|one| !one.people.contains(user));
        let stored: BTreeSet<String> =
            self.stored.iter().filter(|one| !one.shown.twin).map(|one| one.name.clone()).collect();
        for (name, known) in &mut self.known {
            let by_author = concerned(&known.event) && !stored.contains(name);
            known.erased |= by_author || erased.contains(name);
        }
        self.pending.retain(|event| !concerned(event));
        self.outbox.retain(|event| !concerned(event));
        let known = &self.known;
        self.labelling.retain(|original, (solved, case)| {
            *solved || !(case.as_ref().is_some_and(concerned) || concerned(&known[original].event))
        });
    }

    pub(super) fn set_consent(&mut self, guild: &str, granted: bool) {
        if granted {
            self.withdrawn.remove(guild);
            return;
        }
        self.withdrawn.insert(guild.to_owned());
        let of_guild = |event: &Event| event.guild.as_deref() == Some(guild);
        self.stored.retain(|one| one.guild.as_deref() != Some(guild));
        for known in self.known.values_mut() {
            known.erased |= of_guild(&known.event);
        }
        self.pending.retain(|event| !of_guild(event));
        self.outbox.retain(|event| !of_guild(event));
        self.labelling.retain(|_, (solved, case)| *solved || !case.as_ref().is_some_and(of_guild));
    }

    #[cfg(feature = "failpoints")]
    pub(super) fn expire(&mut self, category: Category, oldest_ms: i64) {
        let old =
            |one: &Stored| one.shown.category == category.name() && one.shown.time_ms < oldest_ms;
        self.stored.retain(|one| !old(one));
    }

    pub(super) fn shown(&self) -> Vec<Shown> {
        let mut shown: Vec<_> = self.stored.iter().map(|one| one.shown.clone()).collect();
        shown.sort();
        shown
    }

    pub(super) fn waiting_for_labels(&self) -> BTreeSet<[u8; 16]> {
        self.labelling
            .iter()
            .filter(|(_, (solved, _))| !solved)
            .map(|(original, _)| id(IdKind::Event, original).0)
            .collect()
    }

    /// `(gold, silver, bronze, sum of points, superseded)`.
    pub(super) fn totals(&self, category: Category) -> (u64, u64, u64, u64, u64) {
        let mut totals = (0, 0, 0, 0, 0);
        for one in self.stored.iter().filter(|one| one.shown.category == category.name()) {
            if one.shown.superseded {
                totals.4 += 1;
                continue;
            }
            totals.3 += u64::from(one.shown.points);
            match one.tier {
                Tier::Gold => totals.0 += 1,
                Tier::Silver => totals.1 += 1,
                Tier::Bronze | Tier::Reject => totals.2 += 1,
            }
        }
        totals
    }
}

fn better(one: &Stored, other: &Stored) -> bool {
    let (a, b) = (&one.shown, &other.shown);
    if a.human != b.human {
        return a.human;
    }
    if a.points != b.points {
        return a.points > b.points;
    }
    if a.time_ms != b.time_ms {
        return a.time_ms < b.time_ms;
    }
    a.event < b.event
}

/// What is worth least goes first; corrections and twins last, then by tier, score and age.
fn worth(one: &Stored) -> (bool, Tier, u32, i64, u64) {
    let last = one.shown.twin || one.kind == EventKind::AiCorrection;
    (last, one.tier, one.shown.points, one.shown.time_ms - NOW, one.order)
}
