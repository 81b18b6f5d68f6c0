//! Redacts texts on one thread: `redact_texts FILE`, a JSON string a line. Prints
//! `{"all_mb_per_s", "clean_mb_per_s", "spans"}`: of all texts, and of those that hold nothing to redact.

use std::{
    env,
    error::Error,
    fs,
    hint::black_box,
    time::{Duration, Instant},
};

use becas_core::redact::{Ids, Redactor};

const LEAST: Duration = Duration::from_millis(300);

/// Megabytes a second, over as many passes as take a while.
fn speed(texts: &[String]) -> f64 {
    let (redactor, ids) = (Redactor::new(), Ids::new());
    let bytes: usize = texts.iter().map(String::len).sum();
    let (begun, mut passes) = (Instant::now(), 0_u32);
    while begun.elapsed() < LEAST {
        for text in texts {
            drop(black_box(redactor.redact(black_box(text), &ids)));
        }
        passes += 1;
    }
    // Far below 2^53.
    #[expect(clippy::cast_precision_loss, reason = "a count of bytes")]
    let bytes = bytes as f64;
    bytes * f64::from(passes) / 1e6 / begun.elapsed().as_secs_f64()
}

#[expect(clippy::print_stdout, reason = "it is a measurement")]
fn main() -> Result<(), Box<dyn Error>> {
    let path = env::args().nth(1).ok_or("usage: redact_texts FILE")?;
    let texts: Vec<String> =
        fs::read_to_string(path)?.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    let (redactor, ids) = (Redactor::new(), Ids::new());
    let found: Vec<usize> = texts.iter().map(|text| redactor.spans(text, &ids).len()).collect();
    let clean: Vec<String> = texts
        .iter()
        .zip(&found)
        .filter(|(_, spans)| **spans == 0)
        .map(|(text, _)| text.clone())
        .collect();
    println!(
        r#"{{"all_mb_per_s":{:.3},"clean_mb_per_s":{:.3},"spans":{}}}"#,
        speed(&texts),
        speed(&clean),
        found.iter().sum::<usize>()
    );
    Ok(())
}
