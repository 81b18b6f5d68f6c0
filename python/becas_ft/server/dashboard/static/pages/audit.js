// The append-only log: who moved which model, and why.
import {call, repeat} from "../api.js";
import {badge, count, empty, exactly, html, table, words} from "../parts.js";

const PAGE = 1000;
const SHOWN = 200;

const figures = (entry) =>
  entry.evidence
    ? html`<details><summary>Show</summary><pre>${pretty(entry.evidence)}</pre></details>`
    : "–";

function pretty(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 1);
  } catch {
    return text;
  }
}

const COLUMNS = [
  {name: "No.", number: true, cell: (entry) => count(entry.sequence)},
  {name: "When", cell: (entry) => exactly(entry.time)},
  {name: "What", cell: (entry) => badge(words(entry.action), entry.action === "rollback" ? "bad" : entry.action === "promote" ? "good" : "")},
  {name: "Category", cell: (entry) => words(entry.category) || "–"},
  {name: "Model", cell: (entry) => (entry.from_model || entry.to_model
    ? html`<code>${entry.from_model || "–"}</code><br><code>► ${entry.to_model || "–"}</code>` : "–")},
  {name: "Who", cell: (entry) => entry.actor || "–"},
  {name: "Why", cell: (entry) => entry.reason || "–"},
  {name: "Evidence", cell: figures},
];

function view(entries, all, more) {
  if (!entries.length) return empty("Nothing was promoted or rolled back yet.", "Each switch, canary step and refusal is kept here for good.");
  const shown = all ? entries : entries.slice(-SHOWN);
  return html`<section class="card">
    <p class="note">Each entry holds the hash of the one before: <code>becas-ft audit --verify</code> recomputes them.</p>
    ${table("Audit log, newest first", COLUMNS, shown.toReversed())}
    ${shown.length < entries.length ? html`<button type="button" @click=${more}>Show all ${count(entries.length)}</button>` : ""}
  </section>`;
}

export default {
  title: "Audit log",
  async open({show, signal}) {
    const entries = [];
    let all = false;
    const draw = () => show(view(entries, all, () => ((all = true), draw())));
    await repeat(5, signal, async () => {
      for (;;) {
        const request = {after_sequence: entries.at(-1)?.sequence ?? 0, page_size: PAGE};
        const found = await call("ModelService/ListAudit", request, signal);
        entries.push(...found.entries);
        if (found.entries.length < PAGE) break;
      }
      draw();
    });
  },
};
