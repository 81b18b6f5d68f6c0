//! Whom an event is about, and every id in it.

use crate::{
    proto::{self, event::Payload},
    pseudonym::IdKind,
    redact::is_role,
};

/// The raw ids of an event. Never printed.
#[derive(Clone, Default)]
pub(crate) struct RawIds<'a> {
    /// The event's own.
    pub(crate) event: &'a str,
    /// The event's that it follows from.
    pub(crate) causation: &'a str,
    /// The author.
    pub(crate) user: &'a str,
    /// The guild.
    pub(crate) guild: &'a str,
    /// Author, target, executor, listed; mentions in texts come on top.
    pub(crate) people: Vec<&'a str>,
    /// Every id, for the redactor: they go wherever they recur in text.
    pub(crate) all: Vec<(IdKind, &'a str)>,
}

impl std::fmt::Debug for RawIds<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("RawIds(****)")
    }
}

impl RawIds<'_> {
    /// Whether an id is known to name a guild, a message or an event, and nobody.
    pub(crate) fn is_other(&self, id: &str) -> bool {
        self.all.iter().any(|(kind, other)| *other == id && !matches!(kind, IdKind::User))
            && !self.people.contains(&id)
    }
}

/// The ids of an event. The envelope names author and guild; where it does not, the payload does.
pub(crate) fn ids_of(event: &proto::Event) -> RawIds<'_> {
    let PayloadIds { user, guild, message, people: other } =
        event.payload.as_ref().map(payload_ids).unwrap_or_default();
    let mut people = vec![event.user_id.as_str(), user];
    people.extend(other);
    let mut all = vec![
        (IdKind::Event, event.event_id.as_str()),
        (IdKind::Event, event.correlation_id.as_str()),
        (IdKind::Event, event.causation_id.as_str()),
        (IdKind::Guild, event.guild_id.as_str()),
        (IdKind::Guild, guild),
        (IdKind::Message, message),
    ];
    people.retain(|id| !id.is_empty());
    all.retain(|(_, id)| !id.is_empty());
    all.extend(people.iter().map(|id| (IdKind::User, *id)));
    RawIds {
        event: &event.event_id,
        causation: &event.causation_id,
        user: first(&event.user_id, user),
        guild: first(&event.guild_id, guild),
        people,
        all,
    }
}

fn first<'a>(envelope: &'a str, payload: &'a str) -> &'a str {
    if envelope.is_empty() { payload } else { envelope }
}

#[derive(Default)]
struct PayloadIds<'a> {
    user: &'a str,
    guild: &'a str,
    message: &'a str,
    people: Vec<&'a str>,
}

fn payload_ids(payload: &Payload) -> PayloadIds<'_> {
    let none = PayloadIds::default();
    match payload {
        Payload::ViolationDetected(violation) => {
            PayloadIds { message: &violation.message_id, ..none }
        }
        Payload::TrustScoreChanged(trust) => {
            PayloadIds { user: &trust.user_id, guild: &trust.guild_id, ..none }
        }
        Payload::ModerationActionExecuted(action) => PayloadIds {
            guild: &action.guild_id,
            people: vec![&action.target_user_id, person(&action.executor_id)],
            ..none
        },
        Payload::NetworkRaidDetected(network) | Payload::NetworkBotPattern(network) => {
            PayloadIds { people: network.users.iter().map(String::as_str).collect(), ..none }
        }
        Payload::UserProfileUpdated(updated) => PayloadIds { user: &updated.user_id, ..none },
        Payload::AiCorrection(event) => event.correction.as_ref().map_or(none, |correction| {
            let decision = correction.ai_decision.as_ref();
            PayloadIds {
                guild: &correction.guild_id,
                people: vec![person(decision.map_or("", |decision| &decision.target))],
                ..PayloadIds::default()
            }
        }),
        Payload::RagContextEnhanced(rag) => {
            PayloadIds { guild: &rag.guild_id, message: &rag.message_id, ..none }
        }
        Payload::RagSuspiciousSimilarity(rag) => {
            PayloadIds { guild: &rag.guild_id, message: &rag.message_id, ..none }
        }
        Payload::ScamDetected(_)
        | Payload::IntentAnalyzed(_)
        | Payload::ToolExecuted(_)
        | Payload::PolicyEvaluated(_)
        | Payload::SentimentAnalyzed(_)
        | Payload::LanguageDetected(_)
        | Payload::WorkflowParsed(_)
        | Payload::CustomExample(_) => none,
    }
}

/// An executor or a target may be a word (`bot`, `message`) in place of an id.
fn person(id: &str) -> &str {
    if is_role(id) { "" } else { id }
}
