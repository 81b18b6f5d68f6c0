//! Time grows in step with length, whatever the text is made of.

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use becas_core::redact::{Ids, Redactor};

/// What a long row of is slow for careless patterns; the program `redact_speed` prints how long a mebibyte takes.
const SHAPES: &[&str] = &[
    "1",
    "a",
    "@",
    "<",
    "[",
    ":",
    "/",
    "(",
    ".",
    "-",
    " ",
    "?",
    "=",
    "\"",
    "1.",
    "1.1.1.1 ",
    "a@",
    "a@a@a.",
    "1 ",
    "2 ",
    "4 ",
    "4111 ",
    "07 ",
    "12 ",
    "call 12 ",
    "1:",
    "f:",
    "::",
    "0a-",
    "<@1",
    "<:a:",
    "[EMAIL",
    "(at)",
    "( at ) ",
    " at a dot com",
    "http://a/b?c=d&",
    "@://0#",
    "4 1",
    "a.b/c?d=e;",
    "\u{200b}1",
    "é",
    "任",
    "-----BEGIN PRIVATE KEY-----\n",
    "password: a1b2c3 ",
    "bearer a1",
    "mfa.a1b2",
    "GB82 WEST ",
    "0x",
    "discord.gg/",
    "5Kb8kLf9zgWQnogidDA76MzPL6TsZZY36hWXMssSzNydYXYB9KF ",
    "MTk4NjIyNDgzNDcxOTI1MjQ4.",
    "\"a\"@",
    "user-17 ",
];

/// Short enough that the machine seldom turns to something else in between.
const LENGTH: usize = 1 << 12;
const REPEATS: usize = 20;

#[test]
fn twice_the_text_takes_about_twice_the_time() {
    let mut ids = Ids::new();
    ids.add(becas_core::pseudonym::IdKind::User, "user-17");
    let redactor = Redactor::new();
    let time = |text: &str| least(|| drop(black_box(redactor.redact(black_box(text), &ids))));
    for shape in SHAPES {
        let text = |length: usize| shape.repeat(length / shape.len());
        let (once, eightfold) = (time(&text(LENGTH)), time(&text(8 * LENGTH)));
        // 8 where time is linear, 64 where it is quadratic. What takes no time at all grows by chance.
        assert!(
            eightfold < once * 24 || eightfold < Duration::from_micros(200),
            "{shape:?}: {once:?} for {LENGTH} bytes, {eightfold:?} for eight times as many"
        );
    }
}

// The promise is 50 ms on a machine that does nothing else; a busy one gets four times that.
#[test]
#[cfg_attr(debug_assertions, ignore = "the time counts with optimisation only")]
fn a_mebibyte_of_anything_takes_milliseconds() {
    let redactor = Redactor::new();
    let ids = Ids::new();
    for shape in SHAPES.iter().chain(&["::1 ", "415-555-", "1.2.3.4:", "fe80::1 "]) {
        let text = shape.repeat((1 << 20) / shape.len());
        let time = least(|| drop(black_box(redactor.redact(black_box(&text), &ids))));
        assert!(time < Duration::from_millis(200), "{shape:?}: {time:?}");
    }
}

/// The least of several runs: whatever else the machine does only adds to it.
fn least(mut run: impl FnMut()) -> Duration {
    (0..REPEATS)
        .map(|_| {
            let start = Instant::now();
            run();
            start.elapsed()
        })
        .min()
        .unwrap_or_default()
}
