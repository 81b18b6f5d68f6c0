//! What must hold for any bytes, as functions that panic where it does not; the core's own tests run them too.

use std::{
    hint::black_box,
    sync::LazyLock,
    time::{Duration, Instant},
};

use becas_core::{
    Message as _,
    config::Config,
    example::Verdict,
    json::event_from_json,
    pipeline::Pipeline,
    proto,
    pseudonym::Key,
    redact::{Ids, Redactor},
};

/// No input takes longer, on a machine that does nothing else.
const SLOWEST: Duration = Duration::from_millis(50);
const MEASURED_AGAIN: usize = 20;
const NOW: i64 = 1_789_000_000_000;

/// Secrets by whose form alone they are known; their first characters stand apart so that scanners stay quiet.
const SECRETS: [&str; 6] = [
    "jo.doe@example.com",
    concat!("becas", "_ft_Zk3vQ8mT1xYp0LrWc7HnJ5bGsD2fA9eKuI6oVqXwE4M"),
    concat!("ghp", "_0123456789abcdefghijABCDEFGHIJ012345"),
    "MTk4NjIyNDgzNDcxOTI1MjQ4.Cl2FMQ.ZnCjm1XVW7vRze4b7Cq4se7kKWs",
    "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
    "<@175928847299117063>",
];

static PIPELINE: LazyLock<Pipeline> =
    LazyLock::new(|| Pipeline::new(Config::default(), Key::new([7; 32])));

/// Bytes as a whole request, and as one event of one: each is answered, whatever is stored shows all it says, holds no
/// control token, and each of its values is one line.
pub fn decode(data: &[u8]) {
    quick(|| {
        let _ = black_box(PIPELINE.prepare_batch(data, NOW, true));
    });
    let request = [framed(data), framed(b"")].concat();
    let batch = PIPELINE.prepare_batch(&request, NOW, true).expect("a request in good form");
    assert_eq!(2, batch.attempts.len());
    for attempt in batch.attempts {
        match attempt.prepared {
            Ok(prepared) => stored(&prepared.verdict),
            Err(invalid) => assert!(!invalid.field.is_empty() && !invalid.remedy.is_empty()),
        }
    }
}

/// A line of bots' JSON: an event or its fault; what is an event is prepared as one that came by gRPC is.
pub fn json(data: &[u8]) {
    let line = String::from_utf8_lossy(data);
    quick(|| {
        let _ = black_box(event_from_json(&line));
    });
    if let Ok(event) = event_from_json(&line) {
        let again = proto::Event::decode(event.encode_to_vec().as_slice()).expect("it was encoded");
        if let Ok(prepared) = PIPELINE.prepare(&again, NOW, true) {
            stored(&prepared.verdict);
        }
    }
}

/// A text: redacting it again changes nothing, no long number is left, and a secret on a line of its own goes whole.
pub fn redact(data: &[u8]) {
    let (redactor, ids) = (Redactor::new(), Ids::new());
    let text = String::from_utf8_lossy(data);
    quick(|| {
        let _ = black_box(redactor.redact(&text, &ids));
    });
    let once = redactor.redact(&text, &ids);
    assert_eq!(once.as_str(), redactor.redact(once.as_str(), &ids).as_str());
    let longest = once.as_str().split(|one: char| !one.is_ascii_digit()).map(str::len).max();
    assert!(longest < Some(17), "a number of {longest:?} digits is left");

    let [first, second, ..] = data else { return };
    let secret = SECRETS[usize::from(*first) % SECRETS.len()];
    let mut place = usize::from(*second) * text.len() / 256;
    while !text.is_char_boundary(place) {
        place -= 1;
    }
    let planted = format!("{}\n{secret}\n{}", &text[..place], &text[place..]);
    let left = redactor.redact(&planted, &ids);
    for part in secret.as_bytes().windows(8) {
        let part = std::str::from_utf8(part).expect("ASCII");
        let before = text.matches(part).count();
        assert!(left.as_str().matches(part).count() <= before, "{part} is left");
    }
}

fn stored(verdict: &Verdict) {
    let Verdict::Example(example) = verdict else { return };
    for text in [example.input.as_str(), example.output.as_str()] {
        for token in ["<|", "|>", "[INST]", "<s>", "<start_of_turn>", "\u{200b}", "\u{202e}"] {
            assert!(!text.contains(token), "{token} in an example");
        }
    }
    for line in example.input.as_str().lines() {
        assert!(line.contains(": "), "a value on two lines");
    }
}

fn framed(event: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x0a];
    let mut length = event.len();
    while length > 0x7f {
        bytes.push((length & 0x7f) as u8 | 0x80);
        length >>= 7;
    }
    bytes.push(length as u8);
    bytes.extend_from_slice(event);
    bytes
}

/// Runs once, and where that was slow again and again: whatever else the machine does only adds to the time.
fn quick(mut run: impl FnMut()) {
    let mut time = || {
        let start = Instant::now();
        run();
        start.elapsed()
    };
    let mut least = time();
    for _ in 0..MEASURED_AGAIN {
        if least <= SLOWEST {
            return;
        }
        least = least.min(time());
    }
    assert!(least <= SLOWEST, "it takes {least:?}");
}
