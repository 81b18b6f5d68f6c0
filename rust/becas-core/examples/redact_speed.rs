//! Prints how fast the redactor is: on one mebibyte of each hostile shape, and on messages.

use std::{
    hint::black_box,
    io::{self, Write},
    time::{Duration, Instant},
};

use becas_core::redact::{Ids, Redactor};

const MEBIBYTE: usize = 1 << 20;
const REPEATS: usize = 5;
const MESSAGES: u32 = 20_000;

/// What a megabyte of is slow for careless patterns.
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
    "+",
    " ",
    "?",
    "=",
    "1.",
    "1.1.1.1 ",
    "a@",
    "a.",
    "a@a.a.",
    "1 ",
    "2 ",
    "4 ",
    "4111 ",
    "07 ",
    "call 12 ",
    "1:",
    "f:",
    "::",
    "0a-",
    "<@1",
    "<:a:",
    "[EMAIL",
    "(at)",
    " at a dot com",
    "http://a/b?c=d&",
    "@://0#",
    "4 1",
    "\u{200b}1",
    "-----BEGIN PRIVATE KEY-----\n",
    "5Kb8kLf9zgWQnogidDA76MzPL6TsZZY36hWXMssSzNydYXYB9KF ",
];

/// Without personal data, as most messages are.
const CLEAN: &str = "hey, are you coming to the raid tonight? bring the good stuff (not the cheap one) and don't be late";
const NUMBERS: &str = "you have 3 new messages and 14 invites, the event starts at 19:30 on the 5th of May, see you there";
const CURLY: &str = "it’s fine – nobody’s going to mind, we’ll all be there “soon” enough, naïve as that may sound to you";
const FULL: &str = "Call 09061701461 or mail jo@example.com, ask <@123456789012345678>: https://example.com/a?token=abc123";

fn main() -> io::Result<()> {
    let mut output = io::stdout().lock();
    let redactor = Redactor::new();
    let ids = Ids::new();
    writeln!(output, "{:<32} {:>10} {:>10}", "1 MiB of", "ms", "MB/s")?;
    for shape in SHAPES {
        let text: String =
            shape.chars().cycle().take(MEBIBYTE / shape.len() * shape.chars().count()).collect();
        let time = best(|| drop(black_box(redactor.redact(black_box(&text), &ids))));
        let name: String = shape.escape_debug().take(30).collect();
        writeln!(
            output,
            "{name:<32} {:>10.1} {:>10.0}",
            time.as_secs_f64() * 1e3,
            speed(text.len(), time)
        )?;
    }
    writeln!(output, "\n{:<32} {:>10} {:>10}", "messages of 100 bytes", "ns each", "MB/s")?;
    for (name, message) in [
        ("no digits", CLEAN),
        ("numbers", NUMBERS),
        ("curly quotes", CURLY),
        ("all kinds of data", FULL),
    ] {
        let time = best(|| {
            for _ in 0..MESSAGES {
                drop(black_box(redactor.redact(black_box(message), &ids)));
            }
        }) / MESSAGES;
        writeln!(
            output,
            "{name:<32} {:>10} {:>10.0}",
            time.as_nanos(),
            speed(message.len(), time)
        )?;
    }
    Ok(())
}

fn best(mut run: impl FnMut()) -> Duration {
    let clock = Instant::now();
    (0..REPEATS)
        .map(|_| {
            let start = busy().unwrap_or_else(|| clock.elapsed());
            run();
            busy().unwrap_or_else(|| clock.elapsed()).saturating_sub(start)
        })
        .min()
        .unwrap_or_default()
}

fn speed(bytes: usize, time: Duration) -> f64 {
    f64::from(u32::try_from(bytes).unwrap_or(u32::MAX)) / 1e6 / time.as_secs_f64()
}

/// How long this thread ran on a processor, where the system tells: what other programs take does not count.
fn busy() -> Option<Duration> {
    let times = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    times.split(' ').next()?.parse().ok().map(Duration::from_nanos)
}
