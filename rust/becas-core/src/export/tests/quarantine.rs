//! Examples of sources that no labeller has confirmed wait.

use super::fixture::{VecSource, example, export, guild, labelled, message, request, user};
use crate::{category::Category, example::Example, proto::ExportRequest};

/// Ten users with a confirmed example and an unconfirmed one each, and three whom nobody confirmed.
fn examples() -> Vec<Example> {
    let mut examples = labelled("true", 0, 23);
    for (number, example) in (0..).zip(&mut examples) {
        example.user = Some(user(number % 10));
        example.human_validated = number < 10;
        if number >= 20 {
            example.user = Some(user(number));
        }
    }
    examples
}

fn quarantine(from: i64) -> ExportRequest {
    ExportRequest { balance: Some(false), quarantine_from: from, ..request() }
}

#[test]
fn only_confirmed_users_are_taken_and_the_rest_are_counted() {
    let exported = export(&VecSource::of(examples()), &quarantine(10)).unwrap();

    let users = exported.counted("user");
    assert_eq!(20, exported.manifest.examples);
    assert!((20..23).all(|number| !users.contains_key(&user(number).to_string())));
    let manifest = &exported.manifest;
    assert_eq!((20, 3, 10), (manifest.matched, manifest.quarantined, manifest.confirmed_users));
}

#[test]
fn nobody_waits_before_enough_users_are_confirmed_or_where_none_is_asked_for() {
    let source = VecSource::of(examples());
    let taken = |from: i64| {
        let manifest = export(&source, &quarantine(from)).unwrap().manifest;
        (manifest.examples, manifest.quarantined, manifest.confirmed_users)
    };

    assert_eq!((23, 0, 10), taken(11));
    assert_eq!((23, 0, 0), taken(0));
}

#[test]
fn a_labellers_word_in_one_category_holds_in_all_and_a_withdrawn_one_in_none() {
    let elsewhere = Example {
        category: Category::SentimentAnalysis,
        human_validated: true,
        user: Some(user(20)),
        ..example("elsewhere")
    };
    let withdrawn = Example {
        human_validated: true,
        superseded: true,
        user: Some(user(21)),
        ..example("withdrawn")
    };
    let source = VecSource::of([examples(), vec![elsewhere, withdrawn]].concat());

    let exported = export(&source, &quarantine(1)).unwrap();

    let users = exported.counted("user");
    assert!(users.contains_key(&user(20).to_string()));
    assert!(!users.contains_key(&user(21).to_string()));
    assert_eq!((11, 2), (exported.manifest.confirmed_users, exported.manifest.quarantined));
}

#[test]
fn what_names_no_user_is_known_by_its_guild() {
    let nameless = |number: u32, of: Option<u32>| Example {
        guild: of.map(guild),
        ..example(&message(number))
    };
    let mut confirmed = examples();
    confirmed[0].guild = Some(guild(1));
    let others = vec![
        nameless(100, Some(1)),
        nameless(101, Some(2)),
        nameless(102, None),
        Example { human_validated: true, ..nameless(103, Some(3)) },
    ];
    let source = VecSource::of([confirmed, others].concat());

    let exported = export(&source, &quarantine(10)).unwrap();

    let mut nameless: Vec<String> = exported
        .lines()
        .iter()
        .filter(|line| line["metadata"]["user"].is_null())
        .map(|line| line["input"].as_str().unwrap().to_owned())
        .collect();
    nameless.sort();
    assert_eq!(vec![message(100), message(103)], nameless);
    assert_eq!(5, exported.manifest.quarantined);
}
