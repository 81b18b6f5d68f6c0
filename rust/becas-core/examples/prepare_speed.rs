//! Prints how many events a second one thread prepares: bots' JSON on standard input, sent as batches of 500.

use std::{
    io::{self, BufRead as _, Write as _},
    time::Instant,
};

use becas_core::{config::Config, json, pipeline::Pipeline, proto, pseudonym::Key};
use prost::Message as _;

fn main() -> io::Result<()> {
    let pipeline = Pipeline::new(Config::default(), Key::new([0; 32]));
    let mut events = Vec::new();
    for line in io::stdin().lock().lines() {
        events.extend(json::event_from_json(&line?).ok());
    }
    let batches: Vec<Vec<u8>> = events
        .chunks(500)
        .map(|events| proto::IngestRequest { events: events.to_vec() }.encode_to_vec())
        .collect();
    let bytes: usize = batches.iter().map(Vec::len).sum();
    let mut best = f64::INFINITY;
    for _ in 0..5 {
        let start = Instant::now();
        let usable: usize = batches
            .iter()
            .filter_map(|batch| pipeline.prepare_batch(batch, 0, true).ok())
            .flat_map(|batch| batch.attempts)
            .filter(|attempt| attempt.prepared.is_ok())
            .count();
        if usable == 0 {
            return Err(io::Error::other("no usable event on standard input"));
        }
        best = best.min(start.elapsed().as_secs_f64());
    }
    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    let (count, mebibytes) = (events.len() as f64, bytes as f64 / f64::from(1 << 20));
    let rate = count / best;
    writeln!(io::stdout(), "{rate:.0} events/s, {:.1} MiB/s on one thread", mebibytes / best)
}
