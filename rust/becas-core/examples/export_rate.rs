//! Exports a million synthetic examples that are stored nowhere: rows a second, and the peak of anonymous memory.
//!
//! `cargo run --release -p becas-core --example export_rate [EXAMPLES]`. Ends with 1 above 400 MB.

use std::{
    env,
    error::Error,
    fmt::Write,
    fs,
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use becas_core::{
    category::{Category, EventKind, Outcome},
    error::Result,
    example::Example,
    export::{Context, Source, plan},
    proto::{ExportRequest, Format, Manifest, export_response::Part},
    pseudonym::{Key, Pseudonym},
    redact::{Ids, Redacted, Redactor},
    score::{Score, Tier},
    store::{ExampleId, Record},
};

const LIMIT_KB: u64 = 400_000;

/// Makes each example anew from its sequence.
struct Generator {
    examples: u64,
    redactor: Redactor,
    output: Redacted,
    labels: [Redacted; 2],
}

/// splitmix64.
fn mixed(number: u64) -> u64 {
    let number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

fn pseudonym(number: u64) -> Pseudonym {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&mixed(number).to_le_bytes());
    Pseudonym(bytes)
}

impl Generator {
    fn new(examples: u64) -> Self {
        let redactor = Redactor::new();
        let redacted = |text| redactor.redact(text, &Ids::default());
        let output = redacted(r#"{"isScam":true,"scamType":"phishing","reasoning":"a link"}"#);
        let labels = [redacted("true"), redacted("false")];
        Self { examples, redactor, output, labels }
    }

    /// A message of 9 to 24 words; one in twenty repeats one of 5,000 others with another last word.
    fn input(&self, sequence: u64) -> Redacted {
        let chance = mixed(sequence);
        let origin = if chance.is_multiple_of(20) { chance / 20 % 5_000 } else { sequence };
        let mut text = String::from("Message: \"");
        for place in 0..8 + mixed(origin ^ 1) % 16 {
            // Common words are common: the square of a number below 300.
            let word = mixed(origin * 64 + place) % 300;
            let _infallible = write!(text, "word{} ", word * word / 3);
        }
        let _infallible = write!(text, "end{}\"", sequence % 50);
        self.redactor.redact(&text, &Ids::default())
    }

    fn example(&self, category: Category, sequence: u64) -> Example {
        let random = mixed(sequence ^ 0xabcd);
        Example {
            category,
            kind: EventKind::ScamDetected,
            input: self.input(sequence),
            output: self.output.clone(),
            label: self.labels[usize::from(random >> 20 & 1 == 0)].clone(),
            score: Score::from_points(u32::try_from(6_000 + random % 4_001).unwrap_or_default()),
            tier: Tier::Bronze,
            outcome: Outcome::Success,
            time_ms: 1_700_000_000_000,
            event: pseudonym(sequence),
            user: Some(pseudonym((random >> 24) % 300_000)),
            guild: Some(pseudonym((random >> 44) % 3_000)),
            people: Vec::new(),
            digest: pseudonym(sequence).0,
            human_validated: false,
            rag_enhanced: false,
            superseded: false,
            corrected_twin: false,
        }
    }
}

impl Source for Generator {
    fn scan(
        &self,
        category: Category,
        see: &mut dyn FnMut(ExampleId, &Record<'_>) -> Result<()>,
    ) -> Result<()> {
        (1..=self.examples).try_for_each(|sequence| {
            let id = ExampleId { category, sequence };
            Record::show(id, &self.example(category, sequence), |record| see(id, record))
        })
    }

    fn read_many(
        &self,
        ids: &[ExampleId],
        see: &mut dyn FnMut(ExampleId, Option<&Record<'_>>) -> Result<()>,
    ) -> Result<()> {
        ids.iter().try_for_each(|id| {
            let example = self.example(id.category, id.sequence);
            Record::show(*id, &example, |record| see(*id, Some(record)))
        })
    }
}

/// The highest anonymous memory of this process while something runs, in kB.
struct Watch {
    peak: Arc<AtomicU64>,
    ended: Arc<AtomicBool>,
}

impl Watch {
    fn start() -> Self {
        let watch = Self { peak: Arc::default(), ended: Arc::default() };
        let (peak, ended) = (Arc::clone(&watch.peak), Arc::clone(&watch.ended));
        thread::spawn(move || {
            while !ended.load(Ordering::Relaxed) {
                peak.fetch_max(anonymous_kb().unwrap_or_default(), Ordering::Relaxed);
                thread::sleep(Duration::from_millis(5));
            }
        });
        watch
    }

    fn end(self) -> u64 {
        self.ended.store(true, Ordering::Relaxed);
        self.peak.load(Ordering::Relaxed)
    }
}

fn anonymous_kb() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"))?
        .split_whitespace()
        .next()?
        .parse()
        .ok()
}

fn export(source: &Generator, request: &ExportRequest) -> Result<(Duration, Option<Manifest>)> {
    let start = Instant::now();
    let plan = plan(source, request, &Context::new(&Key::new([7; 32])))?;
    let planned = start.elapsed();
    for part in plan.parts(source)? {
        if let Some(Part::Manifest(manifest)) = part?.part {
            return Ok((planned, Some(manifest)));
        }
    }
    Ok((planned, None))
}

#[expect(clippy::print_stdout, clippy::cast_precision_loss, reason = "prints what it measures")]
fn main() -> std::result::Result<ExitCode, Box<dyn Error>> {
    let examples = env::args().nth(1).map_or(Ok(1_000_000), |number| number.parse())?;
    let source = Generator::new(examples);
    let start = Instant::now();
    source.scan(Category::ScamDetection, &mut |_, _| Ok(()))?;
    println!("making the examples takes {:.1?}; each export makes them twice", start.elapsed());
    let mut within = true;
    for (format, max_user_share) in
        [(Format::Jsonl, 0.0), (Format::Jsonl, 0.000_01), (Format::Parquet, 0.0)]
    {
        let request = ExportRequest {
            category: Category::ScamDetection as i32,
            format: format as i32,
            max_user_share,
            ..ExportRequest::default()
        };
        let watch = Watch::start();
        let start = Instant::now();
        let (planned, manifest) = export(&source, &request)?;
        let seconds = start.elapsed().as_secs_f64();
        let peak_kb = watch.end();
        let manifest = manifest.ok_or("the export ended without a manifest")?;
        println!(
            "{format:?}, user share {max_user_share}: {} of {} examples, {} copies dropped, {} MiB; planned in {planned:.1?}, \
             {seconds:.1} s in all, {:.0} examples/s; peak {peak_kb} kB anonymous; dataset {:.12}",
            manifest.examples,
            manifest.matched,
            manifest.near_duplicates_dropped,
            manifest.data_bytes >> 20,
            manifest.matched as f64 / seconds,
            manifest.dataset_id,
        );
        within &= peak_kb <= LIMIT_KB;
    }
    Ok(if within { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
