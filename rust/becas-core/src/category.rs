//! The closed sets: what models decide, and what bots publish.

use serde::{Deserialize, Serialize};

/// What a model is asked to decide; the numbers are those of the proto and of the store's keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
#[expect(missing_docs, reason = "documented in proto/becas/ft/v1/example.proto")]
pub enum Category {
    ViolationDetection = 1,
    ScamDetection = 2,
    IntentClassification = 3,
    ToolSelection = 4,
    TrustPrediction = 5,
    ModerationDecision = 6,
    PolicyInterpretation = 7,
    SentimentAnalysis = 8,
    LanguageDetection = 9,
    NetworkAnalysis = 10,
    UserProfiling = 11,
    WorkflowParsing = 12,
    HumanCorrection = 13,
    RagContextEnhancement = 14,
}

/// The base model that a category is trained on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "names of configuration")]
pub enum Target {
    Qwen,
    Llama,
    General,
    All,
}

impl Category {
    /// Every category, in the order of the proto.
    pub const ALL: [Self; 14] = [
        Self::ViolationDetection,
        Self::ScamDetection,
        Self::IntentClassification,
        Self::ToolSelection,
        Self::TrustPrediction,
        Self::ModerationDecision,
        Self::PolicyInterpretation,
        Self::SentimentAnalysis,
        Self::LanguageDetection,
        Self::NetworkAnalysis,
        Self::UserProfiling,
        Self::WorkflowParsing,
        Self::HumanCorrection,
        Self::RagContextEnhancement,
    ];

    /// The name in files, model names and statistics: `scam_detection`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ViolationDetection => "violation_detection",
            Self::ScamDetection => "scam_detection",
            Self::IntentClassification => "intent_classification",
            Self::ToolSelection => "tool_selection",
            Self::TrustPrediction => "trust_prediction",
            Self::ModerationDecision => "moderation_decision",
            Self::PolicyInterpretation => "policy_interpretation",
            Self::SentimentAnalysis => "sentiment_analysis",
            Self::LanguageDetection => "language_detection",
            Self::NetworkAnalysis => "network_analysis",
            Self::UserProfiling => "user_profiling",
            Self::WorkflowParsing => "workflow_parsing",
            Self::HumanCorrection => "human_correction",
            Self::RagContextEnhancement => "rag_context_enhancement",
        }
    }

    /// The first key of the category's output.
    pub const fn label_key(self) -> &'static str {
        match self {
            Self::ViolationDetection => "violationType",
            Self::ScamDetection => "isScam",
            Self::IntentClassification => "primaryIntent",
            Self::ToolSelection => "toolName",
            Self::TrustPrediction => "direction",
            Self::ModerationDecision => "actionType",
            Self::PolicyInterpretation => "violates",
            Self::SentimentAnalysis => "sentiment",
            Self::LanguageDetection => "detectedLanguage",
            Self::NetworkAnalysis => "pattern",
            Self::UserProfiling => "riskLevel",
            Self::WorkflowParsing => "steps",
            Self::HumanCorrection => "category",
            Self::RagContextEnhancement => "assessment",
        }
    }

    /// The base model that the category is trained on.
    pub const fn target(self) -> Target {
        match self {
            Self::ViolationDetection
            | Self::ScamDetection
            | Self::IntentClassification
            | Self::SentimentAnalysis => Target::Qwen,
            Self::ToolSelection | Self::WorkflowParsing => Target::Llama,
            Self::TrustPrediction
            | Self::ModerationDecision
            | Self::PolicyInterpretation
            | Self::LanguageDetection
            | Self::NetworkAnalysis
            | Self::UserProfiling => Target::General,
            Self::HumanCorrection | Self::RagContextEnhancement => Target::All,
        }
    }

    /// The category of a number of the proto or of a key.
    pub fn from_number(number: i32) -> Option<Self> {
        Self::ALL.into_iter().find(|category| *category as i32 == number)
    }

    /// The category of a name: `scam_detection`.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|category| category.name() == name)
    }
}

/// What bots publish; the numbers are the payload's field numbers in the proto.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
#[expect(missing_docs, reason = "documented in proto/becas/ft/v1/event.proto")]
pub enum EventKind {
    ViolationDetected = 16,
    ScamDetected = 17,
    IntentAnalyzed = 18,
    ToolExecuted = 19,
    TrustScoreChanged = 20,
    ModerationActionExecuted = 21,
    PolicyEvaluated = 22,
    SentimentAnalyzed = 23,
    LanguageDetected = 24,
    NetworkRaidDetected = 25,
    NetworkBotPattern = 26,
    UserProfileUpdated = 27,
    WorkflowParsed = 28,
    AiCorrection = 29,
    RagContextEnhanced = 30,
    RagSuspiciousSimilarity = 31,
    CustomExample = 32,
}

impl EventKind {
    /// Every kind, in the order of the proto.
    pub const ALL: [Self; 17] = [
        Self::ViolationDetected,
        Self::ScamDetected,
        Self::IntentAnalyzed,
        Self::ToolExecuted,
        Self::TrustScoreChanged,
        Self::ModerationActionExecuted,
        Self::PolicyEvaluated,
        Self::SentimentAnalyzed,
        Self::LanguageDetected,
        Self::NetworkRaidDetected,
        Self::NetworkBotPattern,
        Self::UserProfileUpdated,
        Self::WorkflowParsed,
        Self::AiCorrection,
        Self::RagContextEnhanced,
        Self::RagSuspiciousSimilarity,
        Self::CustomExample,
    ];

    /// The name that bots publish under: `scam.detected`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ViolationDetected => "violation.detected",
            Self::ScamDetected => "scam.detected",
            Self::IntentAnalyzed => "intent.analyzed",
            Self::ToolExecuted => "tool.executed",
            Self::TrustScoreChanged => "trust_score.changed",
            Self::ModerationActionExecuted => "moderation.action_executed",
            Self::PolicyEvaluated => "policy.evaluated",
            Self::SentimentAnalyzed => "sentiment.analyzed",
            Self::LanguageDetected => "language.detected",
            Self::NetworkRaidDetected => "network.raid_detected",
            Self::NetworkBotPattern => "network.bot_pattern",
            Self::UserProfileUpdated => "user.profile_updated",
            Self::WorkflowParsed => "workflow.parsed",
            Self::AiCorrection => "ai.correction",
            Self::RagContextEnhanced => "rag.context_enhanced",
            Self::RagSuspiciousSimilarity => "rag.suspicious_similarity",
            Self::CustomExample => "custom.example",
        }
    }

    /// The kind of a stored number.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as u8 == number)
    }

    /// The kind of a published name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// How a decision turned out; the numbers are those of the proto and of stored records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
#[expect(missing_docs, reason = "documented in proto/becas/ft/v1/example.proto")]
pub enum Outcome {
    Success = 1,
    Failure = 2,
    Corrected = 3,
    Uncertain = 4,
}

impl Outcome {
    /// The name in exports and manifests.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Corrected => "corrected",
            Self::Uncertain => "uncertain",
        }
    }

    /// The outcome of a number of the proto; `None` for unspecified or unknown.
    pub fn from_number(number: i32) -> Option<Self> {
        [Self::Success, Self::Failure, Self::Corrected, Self::Uncertain]
            .into_iter()
            .find(|outcome| *outcome as i32 == number)
    }
}
