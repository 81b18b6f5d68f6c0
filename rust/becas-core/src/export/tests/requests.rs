//! What a request may ask, and what it selects.

use prost_types::Timestamp;

use super::fixture::{KEY, VecSource, example, export, labelled, message, request};
use crate::{
    category::{Category, Outcome},
    error::Error,
    example::Example,
    export::Selection,
    proto::{ExportRequest, Format, ModelTarget},
    pseudonym::IdKind,
    score::{Score, Tier},
};

fn refused(request: &ExportRequest) -> (String, String) {
    match export(&VecSource::default(), request).err() {
        Some(Error::InvalidArgument { field, problem }) => (field, problem),
        other => panic!("{other:?}"),
    }
}

const fn at(seconds: i64, nanos: i32) -> Timestamp {
    Timestamp { seconds, nanos }
}

#[test]
fn every_unusable_field_is_named_with_its_remedy() {
    let base = ExportRequest::default;
    let cases: Vec<(&str, ExportRequest)> = vec![
        ("name", ExportRequest { name: "a b".to_owned(), ..base() }),
        ("name", ExportRequest { name: "é".to_owned(), ..base() }),
        ("name", ExportRequest { name: "..".to_owned(), ..base() }),
        ("name", ExportRequest { name: "x".repeat(65), ..base() }),
        ("name", ExportRequest { name: "of-70000000000000901".to_owned(), ..base() }),
        ("category", ExportRequest { category: 15, ..base() }),
        ("category", ExportRequest { category: -1, ..base() }),
        ("model_target", ExportRequest { model_target: 9, ..base() }),
        ("model_target", ExportRequest { model_target: ModelTarget::Llama as i32, ..request() }),
        ("min_tier", ExportRequest { min_tier: 1, ..base() }),
        ("min_tier", ExportRequest { min_tier: 5, ..base() }),
        ("min_quality", ExportRequest { min_quality: 1.01, ..base() }),
        ("min_quality", ExportRequest { min_quality: f64::NAN, ..base() }),
        ("max_examples", ExportRequest { max_examples: -1, ..base() }),
        ("balance_by", ExportRequest { balance_by: 3, ..base() }),
        ("min_group", ExportRequest { min_group: Some(-1), ..base() }),
        ("since", ExportRequest { since: Some(at(0, -1)), ..base() }),
        ("since", ExportRequest { since: Some(at(i64::MAX, 0)), ..base() }),
        ("until", ExportRequest { until: Some(at(i64::MIN, 0)), ..base() }),
        ("until", ExportRequest { since: Some(at(5, 0)), until: Some(at(5, 0)), ..base() }),
        ("format", ExportRequest { format: 3, ..base() }),
        ("outcomes[1]", ExportRequest { outcomes: vec![1, 0], ..base() }),
        ("quarantine_from", ExportRequest { quarantine_from: -1, ..base() }),
        ("max_user_share", ExportRequest { max_user_share: -0.1, ..base() }),
        ("max_guild_share", ExportRequest { max_guild_share: f64::INFINITY, ..base() }),
    ];
    for (field, request) in cases {
        let (named, problem) = refused(&request);

        assert_eq!(field, named);
        assert!(problem.contains("send") || problem.contains("leave"), "{field}: {problem}");
    }
}

#[test]
fn the_manifest_shows_the_size_of_group_that_was_used() {
    let shown = |category: Category, min_group: Option<i64>, balance: bool| {
        let request = ExportRequest {
            category: category as i32,
            min_group,
            balance: Some(balance),
            ..request()
        };
        Selection::of(&request, &KEY).unwrap().request.min_group
    };
    assert_eq!(Some(20), shown(Category::ScamDetection, None, true));
    assert_eq!(Some(1), shown(Category::WorkflowParsing, None, true));
    assert_eq!(Some(7), shown(Category::WorkflowParsing, Some(7), true));
    assert_eq!(None, shown(Category::ScamDetection, None, false));

    // Each category has its own: to write one of them down would choose otherwise when it is sent again.
    let of_all = Selection::of(&ExportRequest::default(), &KEY).unwrap();
    assert_eq!(None, of_all.request.min_group);
}

/// Ids that a request selects among examples made by hand, unbalanced.
fn selected(examples: &[Example], request: ExportRequest) -> Vec<String> {
    let request = ExportRequest { balance: Some(false), ..request };
    export(&VecSource::of(examples.to_vec()), &request).unwrap().sorted_ids()
}

fn scams(numbers: &[u32]) -> Vec<String> {
    numbers.iter().map(|number| format!("scam_detection-{number}")).collect()
}

#[test]
fn tier_and_quality_are_lower_bounds() {
    let of_score = |(number, points, tier)| Example {
        score: Score::from_points(points),
        tier,
        ..example(&message(number))
    };
    let examples = [
        (1, 6000, Tier::Bronze),
        (2, 7499, Tier::Bronze),
        (3, 7500, Tier::Silver),
        (4, 8500, Tier::Silver),
        (5, 9000, Tier::Gold),
    ]
    .map(of_score);

    assert_eq!(scams(&[1, 2, 3, 4, 5]), selected(&examples, request()));
    let min_tier = Tier::Silver as i32;
    assert_eq!(scams(&[3, 4, 5]), selected(&examples, ExportRequest { min_tier, ..request() }));
    let min_quality = 0.85;
    assert_eq!(scams(&[4, 5]), selected(&examples, ExportRequest { min_quality, ..request() }));
}

#[test]
fn times_are_from_since_until_before_until_to_the_nanosecond() {
    let examples = [(1, 999), (2, 1000), (3, 1001), (4, 2000)]
        .map(|(number, time_ms)| Example { time_ms, ..example(&message(number)) });
    let since = |since| selected(&examples, ExportRequest { since: Some(since), ..request() });
    let until = |until| selected(&examples, ExportRequest { until: Some(until), ..request() });

    assert_eq!(scams(&[2, 3, 4]), since(at(1, 0)));
    assert_eq!(scams(&[3, 4]), since(at(1, 1)));
    assert_eq!(scams(&[1]), until(at(1, 0)));
    assert_eq!(scams(&[1, 2]), until(at(1, 1)));
    assert_eq!(scams(&[1, 2, 3]), until(at(2, 0)));
}

#[test]
fn a_guild_is_named_raw_and_kept_as_a_pseudonym() {
    let raw = "811484532570972078";
    let pseudonym = KEY.pseudonym(IdKind::Guild, raw);
    let mut examples = labelled("true", 0, 3);
    examples[1].guild = Some(pseudonym);
    examples[2].guild = Some(KEY.pseudonym(IdKind::Guild, "811484532570972079"));
    let request = ExportRequest { guild_id: raw.to_owned(), ..request() };

    let request = ExportRequest { balance: Some(false), ..request };
    let exported = export(&VecSource::of(examples), &request).unwrap();

    assert_eq!(scams(&[2]), exported.ids);
    assert_eq!(pseudonym.to_string(), exported.manifest.request.unwrap().guild_id);
}

#[test]
fn outcomes_are_a_filter_and_superseded_examples_are_out_unless_asked_for() {
    let mut examples = labelled("true", 0, 4);
    examples[0].outcome = Outcome::Corrected;
    examples[1].outcome = Outcome::Failure;
    examples[2].superseded = true;
    let outcomes = vec![Outcome::Success as i32, Outcome::Corrected as i32];

    assert_eq!(scams(&[1, 2, 4]), selected(&examples, request()));
    let chosen = ExportRequest { outcomes, ..request() };
    assert_eq!(scams(&[1, 4]), selected(&examples, chosen.clone()));
    let chosen = ExportRequest { include_superseded: true, ..chosen };
    assert_eq!(scams(&[1, 3, 4]), selected(&examples, chosen));
}

#[test]
fn a_model_target_takes_its_categories_and_those_for_all() {
    let examples: Vec<Example> = Category::ALL
        .into_iter()
        .zip(0..)
        .map(|(category, number)| Example { category, ..example(&message(number)) })
        .collect();
    let of_target = |target: ModelTarget| {
        let request = ExportRequest { model_target: target as i32, ..ExportRequest::default() };
        selected(&examples, request)
    };

    let expected = [
        "human_correction-13",
        "intent_classification-3",
        "rag_context_enhancement-14",
        "sentiment_analysis-8",
        "scam_detection-2",
        "violation_detection-1",
    ];
    let mut expected = expected.map(str::to_owned).to_vec();
    expected.sort();
    assert_eq!(expected, of_target(ModelTarget::Qwen));
    let expected = [
        "human_correction-13",
        "rag_context_enhancement-14",
        "tool_selection-4",
        "workflow_parsing-12",
    ];
    assert_eq!(expected.to_vec(), of_target(ModelTarget::Llama));
    assert_eq!(8, of_target(ModelTarget::General).len());
    assert_eq!(14, of_target(ModelTarget::Unspecified).len());
}

#[test]
fn the_manifest_shows_the_request_with_its_defaults() {
    let exported = export(&VecSource::default(), &request()).unwrap();
    let shown = exported.manifest.request.unwrap();

    assert_eq!("scam_detection", shown.name);
    assert_eq!(Some(true), shown.balance);
    assert_eq!(Tier::Bronze as i32, shown.min_tier);
    assert_eq!(Format::Jsonl as i32, shown.format);
    let llama =
        ExportRequest { model_target: ModelTarget::Llama as i32, ..ExportRequest::default() };
    assert_eq!(
        "llama",
        export(&VecSource::default(), &llama).unwrap().manifest.request.unwrap().name
    );
}

#[test]
fn nothing_matched_is_an_empty_dataset_with_a_manifest() {
    let exported = export(&VecSource::default(), &request()).unwrap();

    assert!(exported.data.is_empty());
    assert_eq!(0, exported.manifest.examples);
    // BLAKE3 of nothing, from the test vectors of its authors.
    assert_eq!(
        "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262",
        exported.manifest.dataset_id
    );
}
