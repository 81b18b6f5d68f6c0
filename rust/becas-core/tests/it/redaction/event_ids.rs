//! The event's own ids in its own text.

use becas_core::{
    pseudonym::IdKind,
    redact::{Ids, Redactor},
};

fn redact(ids: &[(IdKind, &str)], text: &str) -> String {
    let mut known = Ids::new();
    for (kind, raw) in ids {
        known.add(*kind, raw);
    }
    Redactor::new().redact(text, &known).as_str().to_owned()
}

#[test]
fn an_id_is_named_after_what_it_is() {
    let ids = [
        (IdKind::User, "80351110224678912"),
        (IdKind::Guild, "290926798626357999"),
        (IdKind::Channel, "376561028123230208"),
        (IdKind::Message, "998942623789178880"),
        (IdKind::Event, "evt_1789282018257_15580a412edb"),
    ];
    let text = "80351110224678912 in 290926798626357999/376561028123230208: 998942623789178880 \
                (evt_1789282018257_15580a412edb, not 80351110224678913)";

    let redacted = redact(&ids, text);

    assert_eq!("[USER] in [GUILD]/[CHANNEL]: [MESSAGE] ([EVENT], not [SNOWFLAKE])", redacted);
}

#[test]
fn ids_of_any_form_are_found() {
    for (id, text, expected) in [
        ("user-17", "user-17 said user-171 did", "[USER] said user-171 did"),
        ("alice", "alice and malice, Alice", "[USER] and malice, Alice"),
        ("U024BE7LH", "hi U024BE7LH!", "hi [USER]!"),
        ("4711", "4711 or 47110", "[USER] or 47110"),
        ("@jo:example.org", "ping @jo:example.org now", "ping [USER] now"),
        ("jos\u{e9}1", "jos\u{e9}1!", "[USER]!"),
        ("req-8f14e45fceea167a", "xreq-8f14e45fceea167ay", "x[USER]y"),
        ("user\u{200b}-17", "use\u{200d}r-17", "[USER]"),
        ("a b c d", "x a b c d y", "x [USER] y"),
        ("alice", "<:alice_lol:80351110224678912>", "[EMOJI]"),
        ("alice_lol", "[EMOJI:alice_lol]", "[EMOJI:[USER]]"),
    ] {
        assert_eq!(expected, redact(&[(IdKind::User, id)], text), "{id}");
    }
}

#[test]
fn ids_that_are_ordinary_words_blank_out_nothing() {
    let text = "the bot and the Moderator of this system gave user a 1 of 100, ok?";
    for id in ["", " ", "a", "1", "bot", "100", "Bot", "system", "moderator", "user", "ok", "the"] {
        assert_eq!(text, redact(&[(IdKind::User, id)], text), "{id}");
    }
}

#[test]
fn of_two_ids_at_one_place_the_longer_is_found() {
    let ids = [(IdKind::User, "user-17"), (IdKind::Event, "user-17/42")];

    assert_eq!("[EVENT] by [USER]", redact(&ids, "user-17/42 by user-17"));
}

#[test]
fn an_ids_debug_form_shows_no_id() {
    let mut ids = Ids::new();
    ids.add(IdKind::User, "user-17");
    ids.add(IdKind::User, "80351110224678912");

    let shown = format!("{ids:?}");

    assert!(!shown.contains("user-17") && !shown.contains("80351110224678912"), "{shown}");
}
