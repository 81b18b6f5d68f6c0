//! What holds of every dataset, whatever was stored.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::fixture::{VecSource, example, export, guild, request, user};
use crate::{
    category::Outcome, example::Example, proto::ExportRequest, redact::Redacted, score::Score,
};

/// Examples whose messages are a few sentences with a few words changed, appended or left out, so that near-copies
/// of all degrees abound; users and guilds are few.
fn stored() -> impl Strategy<Value = Vec<Example>> {
    let edit = (0..4_usize, 0..30_usize, 0..40_usize);
    let message = (0..60_usize, prop::collection::vec(edit, 0..4)).prop_map(|(base, edits)| {
        let mut words: Vec<String> =
            (0..8 + base % 12).map(|place| format!("b{base}p{place}")).collect();
        for (kind, place, word) in edits {
            let place = place % words.len();
            match kind {
                0 => words[place] = format!("n{word}"),
                1 => words.push(format!("n{word}")),
                2 if words.len() > 2 => drop(words.remove(place)),
                _ => words[place] = words[place].to_uppercase(),
            }
        }
        words.join(" ")
    });
    let person = prop::option::weighted(0.8, 0..80_u32);
    let one = (message, 0..3_usize, 6000..6005_u32, person, prop::option::of(0..6_u32), 1..5);
    let one = one.prop_map(|(message, label, points, author, home, outcome)| Example {
        label: Redacted::trusted(["true", "false", "maybe"][label]),
        score: Score::from_points(points),
        user: author.map(user),
        guild: home.map(guild),
        outcome: Outcome::from_number(outcome).unwrap(),
        ..example(&message)
    });
    prop::collection::vec(one, 0..250)
}

/// The distinct pairs of neighbouring words, lowercased: written anew, and for these messages the definition.
fn pairs(message: &str) -> BTreeSet<(String, String)> {
    let words: Vec<String> = message.split(' ').map(str::to_lowercase).collect();
    words.iter().cloned().zip(words.iter().skip(1).cloned()).collect()
}

fn near(one: &BTreeSet<(String, String)>, two: &BTreeSet<(String, String)>) -> bool {
    let shared = one.intersection(two).count();
    5 * shared >= 4 * (one.len() + two.len() - shared)
}

fn requests() -> impl Strategy<Value = ExportRequest> {
    let shares = prop_oneof![Just(0.0), Just(0.05), Just(0.2)];
    (any::<u64>(), any::<bool>(), 0..3, 1..15_i64, shares.clone(), shares).prop_map(
        |(seed, balance, balance_by, min_group, max_user_share, max_guild_share)| ExportRequest {
            seed,
            balance: Some(balance),
            balance_by,
            min_group: Some(min_group),
            max_user_share,
            max_guild_share,
            ..request()
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn nobody_and_no_near_copy_stands_on_two_sides(examples in stored(), request in requests()) {
        let exported = export(&VecSource::of(examples), &request).unwrap();
        let lines = exported.lines();
        let text = |line: usize, key: &str| lines[line]["metadata"][key].as_str();
        let shingles: Vec<_> =
            lines.iter().map(|line| pairs(line["input"].as_str().unwrap())).collect();

        for one in 0..lines.len() {
            for two in 0..one {
                let author = text(one, "user").is_some() && text(one, "user") == text(two, "user");
                let home = text(one, "user").is_none() && text(two, "user").is_none()
                    && text(one, "guild").is_some() && text(one, "guild") == text(two, "guild");
                if author || home || near(&shingles[one], &shingles[two]) {
                    prop_assert_eq!(text(one, "split"), text(two, "split"));
                }
            }
        }
    }

    #[test]
    fn of_a_message_and_its_copies_there_are_three(examples in stored(), seed: u64) {
        let request = ExportRequest { balance: Some(false), seed, ..request() };
        let shingles: Vec<_> =
            examples.iter().map(|example| pairs(example.input.as_str())).collect();
        // Connected parts by repeated relabelling.
        let mut parts: Vec<usize> = (0..shingles.len()).collect();
        loop {
            let before = parts.clone();
            for one in 0..parts.len() {
                for two in 0..one {
                    if near(&shingles[one], &shingles[two]) {
                        let least = parts[one].min(parts[two]);
                        (parts[one], parts[two]) = (least, least);
                    }
                }
            }
            if before == parts {
                break;
            }
        }
        let mut expected: BTreeMap<usize, Vec<u16>> = BTreeMap::new();
        for (part, example) in parts.iter().zip(&examples) {
            expected.entry(*part).or_default().push(example.score.points());
        }
        for points in expected.values_mut() {
            points.sort_by_key(|points| std::cmp::Reverse(*points));
            points.truncate(3);
        }

        let exported = export(&VecSource::of(examples), &request).unwrap();

        let mut kept: BTreeMap<usize, Vec<u16>> = BTreeMap::new();
        for (line, id) in exported.lines().iter().zip(&exported.ids) {
            let sequence: usize = id.rsplit('-').next().unwrap().parse().unwrap();
            let points = line["quality"].as_f64().unwrap() * 10_000.0;
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a score")]
            kept.entry(parts[sequence - 1]).or_default().push(points.round() as u16);
        }
        for points in kept.values_mut() {
            points.sort_by_key(|points| std::cmp::Reverse(*points));
        }
        prop_assert_eq!(expected, kept);
    }

    #[test]
    fn groups_are_equal_and_shares_hold(examples in stored(), request in requests()) {
        let exported = export(&VecSource::of(examples), &request).unwrap();
        let total = exported.lines().len();

        if request.balance == Some(true) {
            let key = if request.balance_by == 2 { "outcome" } else { "label" };
            let mut groups: BTreeMap<String, usize> = BTreeMap::new();
            for value in exported.metadata(key) {
                let group = if value == "corrected" { "success".to_owned() } else { value };
                *groups.entry(group).or_default() += 1;
            }
            let sizes: BTreeSet<usize> = groups.values().copied().collect();
            prop_assert!(sizes.len() <= 1, "{:?}", groups);
            let min_group = usize::try_from(request.min_group.unwrap()).unwrap();
            prop_assert!(sizes.iter().all(|size| *size >= min_group), "{:?}", groups);
        }
        for (key, share) in
            [("user", request.max_user_share), ("guild", request.max_guild_share)]
        {
            for (person, count) in exported.counted(key) {
                #[expect(clippy::cast_precision_loss, reason = "a few hundred")]
                let within = count as f64 <= (share * total as f64).max(1.0);
                prop_assert!(person.is_empty() || share == 0.0 || within, "{}: {}", key, count);
            }
        }
    }

    #[test]
    fn the_same_store_and_request_give_the_same_bytes(examples in stored(), request in requests()) {
        let source = VecSource::of(examples);

        let once = export(&source, &request).unwrap();
        let again = export(&source, &request).unwrap();

        prop_assert_eq!(&once.data, &again.data);
        prop_assert_eq!(&once.ids, &again.ids);
        prop_assert_eq!(
            prost::Message::encode_to_vec(&once.manifest),
            prost::Message::encode_to_vec(&again.manifest)
        );
    }

    #[test]
    fn the_manifest_counts_the_lines(examples in stored(), request in requests()) {
        let matched = examples.len();
        let exported = export(&VecSource::of(examples), &request).unwrap();
        let count = |key: &str| -> BTreeMap<String, i64> {
            exported.counted(key).into_iter().map(|(k, n)| (k, i64::try_from(n).unwrap())).collect()
        };

        let manifest = &exported.manifest;
        prop_assert_eq!(manifest.matched, i64::try_from(matched).unwrap());
        prop_assert_eq!(manifest.examples, i64::try_from(exported.lines().len()).unwrap());
        prop_assert_eq!(&manifest.by_label, &count("label"));
        prop_assert_eq!(&manifest.by_outcome, &count("outcome"));
        prop_assert_eq!(&manifest.by_split, &count("split"));
        prop_assert_eq!(&exported.ids, &exported.metadata("example_id"));
        let users = exported.counted("user").keys().filter(|user| !user.is_empty()).count();
        prop_assert_eq!(manifest.users, i64::try_from(users).unwrap());
    }
}
