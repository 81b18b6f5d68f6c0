//! Bots' JSON on standard input, a line an event; on standard output `eventId category score tier status`, tab-separated.

use std::io::{self, BufRead as _, BufWriter, Write as _};

use becas_core::{
    config::Config,
    event::Invalid,
    example::{Prepared, Verdict},
    json,
    pipeline::Pipeline,
    pseudonym::Key,
};

fn main() -> io::Result<()> {
    // Scores do not depend on the key.
    let pipeline = Pipeline::new(Config::default(), Key::new([0; 32]));
    let mut out = BufWriter::new(io::stdout().lock());
    for line in io::stdin().lock().lines() {
        let parsed = json::parse(&line?);
        let prepared = parsed.event.and_then(|event| pipeline.prepare(&event, 0, true));
        writeln!(out, "{}\t{}", parsed.event_id, columns(&prepared))?;
    }
    out.flush()
}

fn columns(prepared: &Result<Prepared, Invalid>) -> String {
    match prepared {
        Ok(prepared) => {
            let status = match &prepared.verdict {
                Verdict::Example(_) => "ACCEPTED".to_owned(),
                Verdict::Rejected(reasons) => format!("REJECTED {}", reasons.join(",")),
            };
            let points = prepared.score.points();
            let (whole, decimals) = (points / 10_000, points % 10_000);
            let (category, tier) = (prepared.category.name(), prepared.tier.name());
            format!("{category}\t{whole}.{decimals:04}\t{tier}\t{status}")
        }
        Err(invalid) => format!("\t\t\tINVALID {invalid}"),
    }
}
