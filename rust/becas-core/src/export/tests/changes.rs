//! What happens in the store between choosing and writing.

use super::fixture::{VecSource, collect, context, labelled, request};
use crate::{
    export::plan,
    pseudonym::{IdKind, Key},
    redact::Redacted,
};

#[test]
fn what_is_forgotten_superseded_or_replaced_after_choosing_is_not_written_and_not_counted() {
    let source = VecSource::of([labelled("true", 0, 30), labelled("false", 100, 30)].concat());
    let parts = plan(&source, &request(), &context()).unwrap().parts(&source).unwrap();

    source.remove("scam_detection-3");
    source.held()[10].1.superseded = true;
    let replaced = source.held()[20].0.to_string();
    source.held()[20].1.user = Some(Key::new([7; 32]).pseudonym(IdKind::User, "x"));
    source.held()[40].1.label = Redacted::trusted("true");
    let exported = collect(parts).unwrap();

    assert_eq!(56, exported.lines().len());
    assert_eq!(56, exported.ids.len());
    assert_eq!(56, exported.manifest.examples);
    assert_eq!(4, exported.manifest.gone);
    assert_eq!(27, exported.manifest.by_label["true"]);
    assert_eq!(56, exported.manifest.by_tier["silver"]);
    assert_eq!(exported.ids, exported.metadata("example_id"));
    for id in ["scam_detection-3", &replaced] {
        assert!(!exported.ids.iter().any(|written| written == id), "{id}");
    }
}

#[test]
fn the_pieces_can_be_asked_for_one_by_one() {
    let source = VecSource::of(labelled("true", 0, 30));
    let mut parts = plan(&source, &request(), &context()).unwrap().into_parts().unwrap();

    let mut pieces = 0;
    while parts.next_part(&source).unwrap().is_some() {
        pieces += 1;
    }

    assert_eq!(3, pieces);
    assert_eq!(None, parts.next_part(&source).unwrap());
}
