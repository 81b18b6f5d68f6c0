//! Scores by hand: every factor, every edge, one point either side.

use becas_core::{
    category::Outcome,
    config::Config,
    example::{Prepared, Verdict},
    pipeline::Pipeline,
    proto::{self, event::Payload},
    pseudonym::Key,
    score::Tier,
};

use crate::events::{NOW, event, pipeline, prepare, violation, words};

/// Points and tier of a violation with evidence.
fn scored(confidence: f64, evidence: proto::Evidence) -> (u16, Tier) {
    of(&with(Payload::ViolationDetected(violation(confidence)), evidence))
}

fn with(payload: Payload, evidence: proto::Evidence) -> proto::Event {
    proto::Event { evidence: Some(evidence), ..event(payload) }
}

fn of(event: &proto::Event) -> (u16, Tier) {
    let prepared = prepare(event).unwrap();
    (prepared.score.points(), prepared.tier)
}

fn points(payload: Payload) -> u16 {
    of(&event(payload)).0
}

fn outcome(prepared: &Prepared) -> Outcome {
    match &prepared.verdict {
        Verdict::Example(example) => example.outcome,
        Verdict::Rejected(reasons) => panic!("rejected: {reasons:?}"),
    }
}

fn none() -> proto::Evidence {
    proto::Evidence::default()
}

/// Reasoning .15 and, from a confidence of .80, a clear outcome .15.
fn reasoned() -> proto::Evidence {
    proto::Evidence { reasoning: words(50), ..none() }
}

#[test]
fn tiers_begin_exactly_at_their_thresholds() {
    // c4 8569, 8570, 8573 are 2999, 3000, 3001 points: (8569·35 + 50)/100 = 2999.65, 3000.00, 3001.05.
    let bronze = reasoned();
    let silver = proto::Evidence { context: "c".to_owned(), common_pattern: true, ..reasoned() };
    let gold = proto::Evidence { context: "c".to_owned(), human_validated: true, ..reasoned() };
    for (confidence, evidence, expected) in [
        (0.8569, &bronze, (5999, Tier::Reject)),
        (0.8570, &bronze, (6000, Tier::Bronze)),
        (0.8573, &bronze, (6001, Tier::Bronze)),
        (0.8569, &silver, (7499, Tier::Bronze)),
        (0.8570, &silver, (7500, Tier::Silver)),
        (0.8573, &silver, (7501, Tier::Silver)),
        (0.8569, &gold, (8999, Tier::Silver)),
        (0.8570, &gold, (9000, Tier::Gold)),
        (0.8573, &gold, (9001, Tier::Gold)),
    ] {
        assert_eq!(expected, scored(confidence, evidence.clone()), "{confidence}");
    }
}

#[test]
fn confidence_is_rounded_as_its_digits_read() {
    for (confidence, expected) in [
        (0.0, 0),
        (0.0001, 0),   // (35 + 50)/100
        (0.0002, 1),   // (70 + 50)/100
        (0.000_15, 1), // reads 2 ten-thousandths; the double lies below the half
        (0.000_149_9, 0),
        (0.5, 1750),
        (0.642_85, 2250),  // 6429: (225015 + 50)/100
        (0.642_849, 2250), // 6428: (224980 + 50)/100
        (0.642_749, 2249), // 6427: (224945 + 50)/100 = 2249.95
        (0.7999, 2800),    // (279965 + 50)/100
    ] {
        assert_eq!(expected, scored(confidence, none()).0, "{confidence}");
    }
}

#[test]
fn a_confidence_that_reads_eighty_per_cent_is_a_success() {
    assert_eq!(2800, scored(0.799_94, none()).0);
    assert_eq!(2800 + 1500, scored(0.799_95, none()).0);
    assert_eq!(2800 + 1500, scored(0.8, none()).0);
}

#[test]
fn each_factor_of_evidence_adds_its_points() {
    let base = 1750;
    for (name, evidence, expected) in [
        ("nothing", none(), base),
        ("reasoning of 49", proto::Evidence { reasoning: words(49), ..none() }, base),
        ("reasoning of 50", proto::Evidence { reasoning: words(50), ..none() }, base + 1500),
        (
            "reasoning, untrimmed",
            proto::Evidence { reasoning: format!("{:50}", ""), ..none() },
            base + 1500,
        ),
        ("context", proto::Evidence { context: "c".to_owned(), ..none() }, base + 1000),
        ("human", proto::Evidence { human_validated: true, ..none() }, base + 2000),
        ("rag", proto::Evidence { rag_enhanced: true, ..none() }, base + 1000),
        ("edge", proto::Evidence { edge_case: true, ..none() }, base + 1000),
        ("common", proto::Evidence { common_pattern: true, ..none() }, base + 500),
        ("2 precedents", proto::Evidence { precedents: Some(2), ..none() }, base),
        ("3 precedents", proto::Evidence { precedents: Some(3), ..none() }, base + 500),
        ("confidence", proto::Evidence { confidence: Some(0.0), ..none() }, 0),
        ("success", outcome_of(proto::Outcome::Success), base + 1500),
        ("failure", outcome_of(proto::Outcome::Failure), base + 1500),
        ("corrected", outcome_of(proto::Outcome::Corrected), base + 1500),
        ("uncertain", outcome_of(proto::Outcome::Uncertain), base),
        ("no outcome", outcome_of(proto::Outcome::Unspecified), base),
    ] {
        assert_eq!(expected, scored(0.5, evidence).0, "{name}");
    }
}

fn outcome_of(outcome: proto::Outcome) -> proto::Evidence {
    proto::Evidence { outcome: Some(outcome as i32), ..none() }
}

#[test]
fn evidence_overrides_a_success_with_uncertainty() {
    assert_eq!(3500, scored(1.0, outcome_of(proto::Outcome::Uncertain)).0);
}

#[test]
fn the_sum_is_clamped_to_one() {
    let all = proto::Evidence {
        context: "c".to_owned(),
        human_validated: true,
        rag_enhanced: true,
        edge_case: true,
        common_pattern: true,
        precedents: Some(3),
        ..reasoned()
    };

    assert_eq!((10_000, Tier::Gold), scored(1.0, all));
}

#[test]
fn reasoning_is_detailed_from_the_length_of_its_category() {
    let policy = |length| {
        Payload::PolicyEvaluated(proto::PolicyEvaluated {
            policy: Some(proto::Policy { description: "p".to_owned(), threshold: 0.5 }),
            evaluation: Some(proto::PolicyEvaluation {
                reasoning: words(length),
                ..Default::default()
            }),
            message: "m".to_owned(),
        })
    };
    let action = |length| {
        Payload::ModerationActionExecuted(proto::ModerationActionExecuted {
            action_type: "ban".to_owned(),
            reason: words(length),
            ..Default::default()
        })
    };

    assert_eq!([0, 1500], [29, 30].map(|length| points(policy(length))));
    assert_eq!([5000, 6500], [19, 20].map(|length| points(action(length))));
}

#[test]
fn observed_facts_are_certain() {
    let trust = |delta: f64, reason: usize| {
        Payload::TrustScoreChanged(proto::TrustScoreChanged {
            old_score: 50.0,
            new_score: 50.0 + delta,
            delta,
            reason: words(reason),
            ..Default::default()
        })
    };
    let profile = Payload::UserProfileUpdated(proto::UserProfileUpdated {
        profile: Some(proto::Profile { risk_level: "low".to_owned(), ..Default::default() }),
        ..Default::default()
    });

    // Confidence 1, success, context; a small change is common.
    assert_eq!(6500, points(trust(10.0, 49)));
    assert_eq!(6500, points(trust(-10.0, 49)));
    assert_eq!(6500, points(trust(0.0, 49)));
    assert_eq!(6000, points(trust(10.5, 49)));
    assert_eq!(7500, points(trust(-11.0, 50)));
    assert_eq!(6000, points(profile));
}

#[test]
fn a_tool_is_as_sure_as_it_succeeded() {
    let tool = |success| {
        Payload::ToolExecuted(proto::ToolExecuted {
            tool_name: "t".to_owned(),
            input: "i".to_owned(),
            success,
            ..Default::default()
        })
    };

    assert_eq!(6000, points(tool(true)));
    // A failure is a clear outcome, and a tool brings context.
    assert_eq!(2500, points(tool(false)));
}

#[test]
fn a_workflow_counts_where_a_step_was_parsed() {
    let workflow = |parsed: Option<usize>, steps: &[&str]| {
        let step = proto::WorkflowStep { tool: "t".to_owned(), ..Default::default() };
        Payload::WorkflowParsed(proto::WorkflowParsed {
            workflow_text: "w".to_owned(),
            parsed: parsed.map(|count| proto::ParsedWorkflow { steps: vec![step; count] }),
            steps: steps.iter().map(|step| (*step).to_owned()).collect(),
        })
    };

    assert_eq!(5000, points(workflow(Some(1), &[])));
    assert_eq!(1500, points(workflow(Some(0), &[])));
    assert_eq!(1500, points(workflow(None, &["t"])));
}

#[test]
fn a_sentiment_is_as_sure_as_its_score_bears_it_out() {
    let sentiment = |sentiment: &str, score| {
        points(Payload::SentimentAnalyzed(proto::SentimentAnalyzed {
            message: "m".to_owned(),
            sentiment: sentiment.to_owned(),
            score,
            ..Default::default()
        }))
    };

    assert_eq!(3150 + 1500, sentiment("positive", 0.9));
    assert_eq!(3150 + 1500, sentiment("negative", -0.9));
    assert_eq!(0, sentiment("positive", -0.9));
    assert_eq!(0, sentiment("negative", 0.9));
    assert_eq!(0, sentiment("positive", 0.0));
    assert_eq!(3500 + 1500, sentiment("neutral", 0.0));
    assert_eq!(2800 + 1500, sentiment("neutral", -0.2));
    assert_eq!(350, sentiment("neutral", 0.9));
    assert_eq!(0, sentiment("mixed", 0.9));
}

#[test]
fn a_conversation_and_a_crowd_are_context() {
    let intent = |conversational_context| {
        points(Payload::IntentAnalyzed(proto::IntentAnalyzed {
            message: "m".to_owned(),
            deep_intent: Some(proto::DeepIntent {
                primary_intent: "i".to_owned(),
                ..Default::default()
            }),
            conversational_context,
            ..Default::default()
        }))
    };
    let network = |users: usize| {
        let network = proto::NetworkPattern {
            pattern: "p".to_owned(),
            users: (0..users).map(|user| user.to_string()).collect(),
            indicators: vec!["i".to_owned()],
            ..Default::default()
        };
        [Payload::NetworkRaidDetected(network.clone()), Payload::NetworkBotPattern(network)]
            .map(points)
    };

    assert_eq!(0, intent(None));
    assert_eq!(1000, intent(Some(proto::ConversationalContext::default())));
    assert_eq!([0, 0], network(3));
    assert_eq!([1000, 1000], network(4));
}

#[test]
fn social_engineering_is_an_edge_case() {
    let scam = |scam_type: &str| {
        points(Payload::ScamDetected(proto::ScamDetected {
            text: "t".to_owned(),
            analysis: Some(proto::ScamAnalysis {
                scam_type: scam_type.to_owned(),
                ..Default::default()
            }),
        }))
    };

    assert_eq!(1000, scam("social_engineering"));
    assert_eq!(0, scam("phishing"));
}

#[test]
fn similarity_counts_its_violations_as_precedents() {
    let similarity = |similar_violations, avg_similarity| {
        points(Payload::RagSuspiciousSimilarity(proto::RagSuspiciousSimilarity {
            similar_violations,
            avg_similarity,
            ..Default::default()
        }))
    };

    // RAG .10; over two violations .05.
    assert_eq!(1000, similarity(2, 0.0));
    assert_eq!(1500, similarity(3, 0.0));
    assert_eq!(1500 + 3500 + 1500, similarity(3, 1.0));
}

fn correction() -> Payload {
    Payload::AiCorrection(proto::AiCorrection {
        correction: Some(proto::Correction {
            ai_decision: Some(proto::AiDecision { context: "m".to_owned(), ..Default::default() }),
            category: "false_positive".to_owned(),
            ..Default::default()
        }),
    })
}

fn enhanced(enhanced_confidence: f64) -> Payload {
    Payload::RagContextEnhanced(proto::RagContextEnhanced {
        enhanced_confidence,
        enhanced_reasoning: "r".to_owned(),
        ..Default::default()
    })
}

#[test]
fn corrections_and_enhancements_are_gold_at_least() {
    // Confidence 1, reasoning, outcome, human, edge case.
    assert_eq!((9500, Tier::Gold), of(&event(correction())));
    // Without confidence: rag .10, context .10.
    assert_eq!((9000, Tier::Gold), of(&event(enhanced(0.0))));
    let low = with(correction(), proto::Evidence { confidence: Some(0.0), ..none() });
    assert_eq!((9000, Tier::Gold), of(&low));
}

#[test]
fn outcomes_are_stated_before_they_are_derived() {
    let custom = |outcome: proto::Outcome| {
        Payload::CustomExample(proto::CustomExample {
            category: "violation_detection".to_owned(),
            input: "i".to_owned(),
            output: "spam".to_owned(),
            confidence: 1.0,
            outcome: outcome as i32,
        })
    };
    let stated = |payload, stated: proto::Outcome| {
        let evidence = proto::Evidence {
            reasoning: words(50),
            context: "c".to_owned(),
            human_validated: true,
            outcome: Some(stated as i32),
            ..none()
        };
        outcome(&prepare(&with(payload, evidence)).unwrap())
    };

    assert_eq!(Outcome::Failure, stated(custom(proto::Outcome::Success), proto::Outcome::Failure));
    assert_eq!(
        Outcome::Corrected,
        stated(custom(proto::Outcome::Corrected), proto::Outcome::Unspecified)
    );
    assert_eq!(
        Outcome::Success,
        stated(custom(proto::Outcome::Unspecified), proto::Outcome::Unspecified)
    );
    assert_eq!(Outcome::Corrected, stated(correction(), proto::Outcome::Unspecified));
    assert_eq!(Outcome::Uncertain, stated(correction(), proto::Outcome::Uncertain));
}

#[test]
fn without_the_labeller_right_nothing_counts_as_validated() {
    let unverified = |event: &proto::Event| pipeline().prepare(event, NOW, false).unwrap();
    let human = proto::Evidence { context: "c".to_owned(), human_validated: true, ..reasoned() };
    let event = with(Payload::ViolationDetected(violation(1.0)), human);
    let prepared = unverified(&event);

    assert_eq!((7500, Tier::Silver), (prepared.score.points(), prepared.tier));
    assert!(matches!(&prepared.verdict, Verdict::Example(example) if !example.human_validated));

    let prepared = unverified(&crate::events::event(correction()));

    assert_eq!((7500, Tier::Silver), (prepared.score.points(), prepared.tier));

    // All else would make gold: it stops one point short.
    let all = proto::Evidence {
        context: "c".to_owned(),
        human_validated: true,
        rag_enhanced: true,
        edge_case: true,
        precedents: Some(3),
        ..reasoned()
    };
    let prepared = unverified(&with(Payload::ViolationDetected(violation(1.0)), all));

    assert_eq!((8999, Tier::Silver), (prepared.score.points(), prepared.tier));

    // What claims no person is not touched.
    assert_eq!(Tier::Gold, unverified(&crate::events::event(enhanced(0.0))).tier);
}

#[test]
fn rejections_name_what_lacked() {
    let reasons = |event: &proto::Event| match prepare(event).unwrap().verdict {
        Verdict::Rejected(reasons) => reasons,
        Verdict::Example(example) => panic!("accepted at {:?}", example.score),
    };

    assert_eq!(
        ["SCORE_BELOW_BRONZE", "LOW_CONFIDENCE", "SHORT_REASONING", "UNCERTAIN_OUTCOME"],
        *reasons(&event(Payload::ViolationDetected(violation(0.5))))
    );
    assert_eq!(
        ["SCORE_BELOW_BRONZE", "SHORT_REASONING"],
        *reasons(&event(Payload::ViolationDetected(violation(0.9))))
    );
    assert_eq!(
        ["SCORE_BELOW_BRONZE"],
        *reasons(&with(Payload::ViolationDetected(violation(0.8)), reasoned()))
    );
}

#[test]
fn weights_limits_and_thresholds_are_configuration() {
    let config = Config::from_json(
        r#"{"scoring": {"confidence_percent": 100, "detailed_reasoning": 1, "clear_outcome": 10, "reasoning_length": 3,
            "success_confidence": 10000, "gold": 7500, "silver": 7400, "bronze": 7001}}"#,
    )
    .unwrap();
    let pipeline = Pipeline::new(config, Key::new([7; 32]));
    let scored = |confidence, reasoning: &str| {
        let evidence = proto::Evidence { reasoning: reasoning.to_owned(), ..none() };
        let event = with(Payload::ViolationDetected(violation(confidence)), evidence);
        let prepared = pipeline.prepare(&event, NOW, true).unwrap();
        (prepared.score.points(), prepared.tier)
    };

    assert_eq!((7000, Tier::Reject), scored(0.7, "ab"));
    assert_eq!((7001, Tier::Bronze), scored(0.7, "abc"));
    assert_eq!((7400, Tier::Silver), scored(0.74, ""));
    assert_eq!((9999, Tier::Gold), scored(0.9999, ""));
    assert_eq!((10_000, Tier::Gold), scored(1.0, ""));
}
