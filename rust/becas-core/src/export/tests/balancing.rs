//! How many of each group are taken, and which.

use std::collections::BTreeMap;

use super::fixture::{VecSource, example, export, guild, labelled, message, request, user};
use crate::{
    category::{Category, EventKind, Outcome},
    error::Error,
    example::Example,
    proto::{BalanceBy, ExportRequest, ModelTarget, OmittedGroup},
    redact::Redacted,
    score::Score,
};

fn counts(expected: &[(&str, usize)]) -> BTreeMap<String, usize> {
    expected.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
}

fn omitted(group: &str, examples: i64) -> OmittedGroup {
    OmittedGroup { category: Category::ScamDetection as i32, group: group.to_owned(), examples }
}

#[test]
fn each_group_gives_as_many_as_the_smallest() {
    let source = VecSource::of([labelled("true", 0, 25), labelled("false", 100, 40)].concat());

    let exported = export(&source, &request()).unwrap();

    assert_eq!(counts(&[("false", 25), ("true", 25)]), exported.counted("label"));
    assert_eq!(50, exported.manifest.examples);
    assert_eq!(65, exported.manifest.matched);
}

#[test]
fn a_tiny_group_is_left_out_and_listed_and_does_not_shrink_the_others() {
    let groups = [labelled("true", 0, 30), labelled("false", 100, 20), labelled("maybe", 200, 19)];
    let source = VecSource::of(groups.concat());

    let exported = export(&source, &request()).unwrap();

    assert_eq!(counts(&[("false", 20), ("true", 20)]), exported.counted("label"));
    assert_eq!(vec![omitted("maybe", 19)], exported.manifest.omitted_groups);
}

#[test]
fn min_group_is_the_callers() {
    let source = VecSource::of([labelled("true", 0, 3), labelled("false", 100, 2)].concat());
    let request = ExportRequest { min_group: Some(2), ..request() };

    let exported = export(&source, &request).unwrap();

    assert_eq!(counts(&[("false", 2), ("true", 2)]), exported.counted("label"));
}

/// Labels `l01` … with 20, 21, … examples.
fn staircase(labels: u32) -> VecSource {
    let groups =
        (1..=labels).map(|label| labelled(&format!("l{label:02}"), label * 100, 19 + label));
    VecSource::of(groups.flatten().collect::<Vec<Example>>())
}

#[test]
fn twenty_labels_are_equal() {
    let exported = export(&staircase(20), &request()).unwrap();

    assert!(exported.counted("label").values().all(|count| *count == 20));
    assert_eq!(400, exported.manifest.examples);
}

#[test]
fn above_twenty_labels_the_median_group_is_the_cap() {
    // Sizes 20 to 40: the median is 30. 20 + … + 29, then eleven times 30.
    let exported = export(&staircase(21), &request()).unwrap();
    let by_label = exported.counted("label");

    assert_eq!(20, by_label["l01"]);
    assert_eq!(29, by_label["l10"]);
    assert_eq!(30, by_label["l11"]);
    assert_eq!(30, by_label["l21"]);
    assert_eq!(245 + 330, exported.manifest.examples);
}

#[test]
fn of_an_even_number_of_labels_the_smaller_middle_group_is_the_cap() {
    // Sizes 20 to 41: 30 and 31 are in the middle. 20 + … + 29, then twelve times 30.
    let exported = export(&staircase(22), &request()).unwrap();

    assert_eq!(245 + 360, exported.manifest.examples);
}

#[test]
fn the_best_are_taken_and_the_seed_decides_between_equals() {
    let mut good = labelled("true", 0, 30);
    for (points, example) in (9000..).zip(&mut good) {
        example.score = Score::from_points(points);
    }
    let source = VecSource::of([good, labelled("false", 100, 25)].concat());
    let seeded = |seed| export(&source, &ExportRequest { seed, max_examples: 20, ..request() });

    let exported = seeded(1).unwrap();
    let other = seeded(2).unwrap();

    // Of `true` the last ten of thirty, whatever the seed; of `false` ten that depend on it.
    let best: Vec<String> = (21..=30).map(|number| format!("scam_detection-{number}")).collect();
    let of_true = |ids: Vec<String>| -> Vec<String> {
        ids.into_iter().filter(|id| best.contains(id)).collect()
    };
    assert_eq!(best, of_true(exported.sorted_ids()));
    assert_eq!(best, of_true(other.sorted_ids()));
    assert_eq!(20, exported.manifest.examples);
    assert_ne!(exported.sorted_ids(), other.sorted_ids());
}

#[test]
fn a_corrected_outcome_is_of_the_group_of_successes() {
    let of_outcome = |outcome, from, count| {
        labelled("true", from, count).into_iter().map(move |example| Example { outcome, ..example })
    };
    let source = VecSource::of(
        of_outcome(Outcome::Success, 0, 15)
            .chain(of_outcome(Outcome::Corrected, 100, 15))
            .chain(of_outcome(Outcome::Failure, 200, 25))
            .chain(of_outcome(Outcome::Uncertain, 300, 10)),
    );
    let request = ExportRequest { balance_by: BalanceBy::Outcome as i32, ..request() };

    let exported = export(&source, &request).unwrap();
    let by_outcome = exported.counted("outcome");

    assert_eq!(25, by_outcome["success"] + by_outcome["corrected"]);
    assert_eq!(25, by_outcome["failure"]);
    assert_eq!(vec![omitted("uncertain", 10)], exported.manifest.omitted_groups);
}

#[test]
fn without_balance_everything_is_taken() {
    let source = VecSource::of([labelled("true", 0, 30), labelled("false", 100, 3)].concat());
    let unbalanced = |max_examples| {
        let request = ExportRequest { balance: Some(false), max_examples, ..request() };
        export(&source, &request).unwrap().manifest
    };

    assert_eq!(33, unbalanced(0).examples);
    assert_eq!(Vec::<OmittedGroup>::new(), unbalanced(0).omitted_groups);
    assert_eq!(7, unbalanced(7).examples);
}

#[test]
fn each_category_is_balanced_on_its_own() {
    let intents = |label: &str, from, count| {
        labelled(label, from, count).into_iter().map(|example| Example {
            category: Category::IntentClassification,
            kind: EventKind::IntentAnalyzed,
            ..example
        })
    };
    let source = VecSource::of(
        labelled("true", 0, 25)
            .into_iter()
            .chain(labelled("false", 100, 22))
            .chain(intents("ask", 200, 50))
            .chain(intents("greet", 300, 60)),
    );
    let request =
        ExportRequest { model_target: ModelTarget::Qwen as i32, ..ExportRequest::default() };

    let all = export(&source, &request).unwrap();
    let limited = export(&source, &ExportRequest { max_examples: 103, ..request.clone() }).unwrap();
    let balance = Some(false);
    let unbalanced =
        export(&source, &ExportRequest { max_examples: 103, balance, ..request }).unwrap();

    let expected = counts(&[("ask", 50), ("false", 22), ("greet", 50), ("true", 22)]);
    assert_eq!(expected, all.counted("label"));
    // 22 rounds of four are 88; then seven rounds of two, and one place stays empty.
    let expected = counts(&[("ask", 29), ("false", 22), ("greet", 29), ("true", 22)]);
    assert_eq!(expected, limited.counted("label"));
    // 47 of one category, and 56 of the other.
    let expected = counts(&[("intent_classification", 56), ("scam_detection", 47)]);
    assert_eq!(expected, unbalanced.counted("category"));
}

#[test]
fn fewer_examples_than_groups_is_an_error_that_says_so() {
    let source = VecSource::of([labelled("true", 0, 20), labelled("false", 100, 20)].concat());

    let failure = export(&source, &ExportRequest { max_examples: 1, ..request() }).err();

    let Some(Error::InvalidArgument { field, problem }) = failure else { panic!("{failure:?}") };
    assert_eq!("max_examples", field);
    assert!(problem.contains("at least 2"), "{problem}");
}

#[test]
fn lists_of_steps_are_all_taken_up_to_the_median_unless_min_group_is_given() {
    // 24 lists: 20 occur once, four of them three times.
    let lists = (0..24).flat_map(|list| {
        let count = if list < 4 { 3 } else { 1 };
        labelled(&format!(r#"["step {list}"]"#), 10 * list, count)
    });
    let source = VecSource::of(lists.map(|example| Example {
        category: Category::WorkflowParsing,
        kind: EventKind::WorkflowParsed,
        ..example
    }));
    let request =
        ExportRequest { category: Category::WorkflowParsing as i32, ..ExportRequest::default() };

    let all = export(&source, &request).unwrap().manifest;
    let asked = export(&source, &ExportRequest { min_group: Some(2), ..request.clone() });
    let by_outcome =
        export(&source, &ExportRequest { balance_by: BalanceBy::Outcome as i32, ..request });

    assert_eq!((24, 0), (all.examples, all.omitted_groups.len()));
    let asked = asked.unwrap().manifest;
    assert_eq!((12, 20), (asked.examples, asked.omitted_groups.len()));
    assert_eq!(32, by_outcome.unwrap().manifest.examples);
}

/// `flood` examples of one user, better than the `others`, who have one each.
fn flooded(label: &str, from: u32, flood: u32, others: u32) -> Vec<Example> {
    let mut examples = labelled(label, from, flood + others);
    for example in examples.iter_mut().take(flood as usize) {
        example.user = Some(user(1_000_000));
        example.score = Score::from_points(9500);
    }
    examples
}

#[test]
fn no_user_has_more_than_the_share_and_groups_stay_equal() {
    // The flood has 60 in each label. With n in each label it may hold a tenth of 2n, in both together; the limit of
    // 40 others a label gives 2n ≤ 80 + 2n / 10, so 2n = 88 and a limit of 8.
    let source =
        VecSource::of([flooded("true", 0, 60, 40), flooded("false", 500, 60, 40)].concat());
    let request = ExportRequest { max_user_share: 0.1, ..request() };

    let exported = export(&source, &request).unwrap();
    let by_user = exported.counted("user");

    assert_eq!(counts(&[("false", 44), ("true", 44)]), exported.counted("label"));
    assert_eq!(8, by_user[&user(1_000_000).to_string()]);
    assert_eq!(81, exported.manifest.users);
}

#[test]
fn no_guild_has_more_than_the_share() {
    let mut examples = [labelled("true", 0, 100), labelled("false", 500, 100)].concat();
    for (number, example) in (0..).zip(&mut examples) {
        // The better half of each label is of guild 0, the others of guilds 1 to 10.
        let better = number % 2 == 0;
        example.guild = Some(guild(if better { 0 } else { 1 + (number / 2) % 10 }));
        example.score = Score::from_points(if better { 9000 } else { 8000 });
    }
    let source = VecSource::of(examples);
    let request = ExportRequest { max_guild_share: 0.2, ..request() };

    let exported = export(&source, &request).unwrap();
    let total = exported.lines().len();

    assert!(exported.counted("guild").values().all(|count| 5 * count <= total));
    // 100 of the others, and a fifth of 125 rounded down to whole rounds of two labels: 124.
    assert_eq!(124, total);
    assert_eq!(11, exported.manifest.guilds);
}

#[test]
fn one_users_flood_in_one_label_leaves_the_label_out_not_the_dataset() {
    let groups =
        [flooded("true", 0, 500, 2), labelled("false", 600, 100), labelled("maybe", 800, 100)];
    let source = VecSource::of(groups.concat());
    let request = ExportRequest { max_user_share: 0.02, ..request() };

    let exported = export(&source, &request).unwrap();

    assert_eq!(counts(&[("false", 100), ("maybe", 100)]), exported.counted("label"));
    assert_eq!("true", exported.manifest.omitted_groups[0].group);
}

#[test]
fn three_near_copies_at_most_the_best_ones() {
    let text = "a b c d e f g h i j";
    let copies = [
        "a b c d e f g h i j k",
        "x b c d e f g h i j",
        "a b c d e f g h i y",
        text,
        "A, b c d e f g h i j!",
    ];
    let mut examples: Vec<Example> = copies.map(example).into();
    for (points, example) in [8001, 8003, 8002, 8005, 8004].into_iter().zip(&mut examples) {
        example.score = Score::from_points(points);
    }
    // Worse than all of them, but a copy of none.
    examples.push(Example { score: Score::from_points(7000), ..example(&message(1)) });
    let source = VecSource::of(examples);
    let request = ExportRequest { balance: Some(false), ..request() };

    let exported = export(&source, &request).unwrap();

    let kept = [2, 4, 5, 6].map(|number| format!("scam_detection-{number}"));
    assert_eq!(kept.to_vec(), exported.sorted_ids());
    assert_eq!(2, exported.manifest.near_duplicates_dropped);
    assert_eq!(6, exported.manifest.matched);
}

#[test]
fn copies_are_dropped_before_groups_are_measured() {
    let mut truths = labelled("true", 0, 30);
    for example in truths.iter_mut().take(14) {
        example.input = Redacted::trusted("the same words in the same order for all of these");
    }
    let source = VecSource::of([truths, labelled("false", 100, 30)].concat());

    let exported = export(&source, &request()).unwrap();

    // 30 less 14 and 3 of the copies are 19, one too few.
    assert_eq!(counts(&[("false", 30)]), exported.counted("label"));
    assert_eq!(vec![omitted("true", 19)], exported.manifest.omitted_groups);
    assert_eq!(11, exported.manifest.near_duplicates_dropped);
}
