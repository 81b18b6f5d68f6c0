//! Who and what stands on which side.

use std::collections::BTreeMap;

use super::fixture::{
    Exported, VecSource, example, export, guild, labelled, message, request, user,
};
use crate::{example::Example, proto::ExportRequest, redact::Redacted};

fn unbalanced(examples: impl IntoIterator<Item = Example>) -> Exported {
    let request = ExportRequest { balance: Some(false), ..request() };
    export(&VecSource::of(examples), &request).unwrap()
}

/// The sides on which examples of one value of the metadata stand.
fn sides(exported: &Exported, key: &str) -> BTreeMap<String, Vec<String>> {
    let mut sides: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (value, side) in exported.metadata(key).into_iter().zip(exported.metadata("split")) {
        sides.entry(value).or_default().push(side);
    }
    for sides in sides.values_mut() {
        sides.sort();
        sides.dedup();
    }
    sides
}

#[test]
fn unconnected_examples_are_split_eight_to_one_to_one() {
    let exported = unbalanced(labelled("true", 0, 200));

    let split = &exported.manifest.by_split;
    assert_eq!((160, 20, 20), (split["train"], split["validation"], split["test"]));
}

#[test]
fn a_user_stands_on_one_side() {
    let mut examples = labelled("true", 0, 300);
    for (number, example) in (0..).zip(&mut examples) {
        example.user = Some(user(number % 40));
    }

    let exported = unbalanced(examples);

    assert!(sides(&exported, "user").values().all(|sides| sides.len() == 1));
    assert_eq!(3, exported.manifest.by_split.len());
}

#[test]
fn without_a_user_the_guild_stands_on_one_side() {
    let mut examples = labelled("true", 0, 300);
    for (number, example) in (0..).zip(&mut examples) {
        example.user = None;
        example.guild = Some(guild(number % 40));
    }

    let exported = unbalanced(examples);

    assert!(sides(&exported, "guild").values().all(|sides| sides.len() == 1));
    assert_eq!(3, exported.manifest.by_split.len());
}

#[test]
fn users_of_one_guild_may_stand_on_different_sides() {
    let mut examples = labelled("true", 0, 100);
    for example in &mut examples {
        example.guild = Some(guild(0));
    }

    let exported = unbalanced(examples);

    assert_eq!(3, exported.manifest.by_split.len());
}

#[test]
fn a_large_connected_part_goes_to_training_and_leaves_the_ratios_alone() {
    let mut examples = labelled("true", 0, 100);
    for example in examples.iter_mut().take(70) {
        example.user = Some(user(0));
    }

    let exported = unbalanced(examples);

    let split = &exported.manifest.by_split;
    assert_eq!((80, 10, 10), (split["train"], split["validation"], split["test"]));
    assert_eq!(vec!["train"], sides(&exported, "user")[&user(0).to_string()]);
}

#[test]
fn copies_stand_on_one_side_though_the_copy_between_them_is_not_exported() {
    // A window of 22 words that moves by one: 20 of 22 pairs in common with the next, 18 of 24 three places on,
    // too few for a copy. What connects the three that the cap leaves of a chain is mostly not exported.
    let chains: Vec<Example> = (0..12)
        .flat_map(|chain| {
            (0..12).map(move |start| {
                let words: Vec<String> =
                    (start..start + 22).map(|word| format!("c{chain}w{word}")).collect();
                example(&words.join(" "))
            })
        })
        .collect();

    let exported = unbalanced(chains);

    assert_eq!(36, exported.manifest.examples);
    let mut sides: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (line, side) in exported.lines().iter().zip(exported.metadata("split")) {
        let input = line["input"].as_str().unwrap();
        sides.entry(input.split('w').next().unwrap().to_owned()).or_default().push(side);
    }
    assert_eq!(12, sides.len());
    for (chain, sides) in sides {
        assert!(sides.iter().all(|side| *side == sides[0]), "{chain}: {sides:?}");
    }
}

#[test]
fn a_copied_message_of_two_users_joins_all_that_they_wrote() {
    let mut examples = labelled("true", 0, 100);
    // Users 0 and 1 have ten messages each, and one message in common.
    for (number, example) in examples.iter_mut().enumerate().take(20) {
        example.user = Some(user(u32::from(number >= 10)));
    }
    examples[0].input = Redacted::trusted("come and look at my wonderful new shop for hats today");
    examples[10].input =
        Redacted::trusted("Come and look at my wonderful new shop for hats TODAY!");

    let exported = unbalanced(examples);
    let sides = sides(&exported, "user");

    assert_eq!(1, sides[&user(0).to_string()].len());
    assert_eq!(sides[&user(0).to_string()], sides[&user(1).to_string()]);
}

#[test]
fn a_dataset_of_one_is_for_training() {
    let exported = unbalanced([example(&message(1))]);

    assert_eq!(vec!["train"], exported.metadata("split"));
}
