//! Redacts lines of standard input, each a JSON string, and writes for each `{"text", "spans": [{"start", "end",
//! "type"}]}` with offsets in code points of the input.

use std::io::{self, BufRead, Write};

use becas_core::redact::{Ids, Redactor, in_code_points};
use serde_json::json;

fn main() -> io::Result<()> {
    let redactor = Redactor::new();
    let ids = Ids::new();
    let mut output = io::BufWriter::new(io::stdout().lock());
    for line in io::stdin().lock().lines() {
        let text: String = serde_json::from_str(&line?)?;
        let found = redactor.spans(&text, &ids);
        let spans: Vec<_> = in_code_points(&found, &text)
            .into_iter()
            .map(|span| json!({"start": span.start, "end": span.end, "type": span.kind.name()}))
            .collect();
        let redacted = redactor.replace(&text, &found, &ids);
        writeln!(output, "{}", json!({"text": redacted.as_str(), "spans": spans}))?;
    }
    Ok(())
}
