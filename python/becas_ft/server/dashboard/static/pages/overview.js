// Categories: how many examples, how good, and what a training still lacks.
import {call, repeat} from "../api.js";
import {badge, bar, count, decimal, empty, enumeration, html, percent, table, tile, words} from "../parts.js";

const TIERS = ["gold", "silver", "bronze"];

const tiers = (counts) => TIERS.map((name) => ({name, kind: name, value: counts?.[name] ?? 0}));

const readiness = (row) =>
  row.pipeline.ready
    ? badge("ready", "good")
    : html`<ul class="lacks">${row.pipeline.lacks.map((lack) => html`<li>${lack}</li>`)}</ul>`;

// What a category lacks stands in the column beside.
const next = (row) =>
  row.pipeline.next === `lacks ${row.pipeline.lacks.join("; ")}` ? "waits for these" : row.pipeline.next;

const COLUMNS = [
  {name: "Category", cell: (row) => html`${words(row.category)}`},
  {name: "Gold, silver, bronze", cell: (row) => html`${bar(tiers(row.tiers))}
    <span class="note">${TIERS.map((tier) => count(row.tiers[tier])).join(" · ")}</span>`},
  {name: "Examples", number: true, cell: (row) => count(row.total)},
  {name: "Mean quality", number: true, cell: (row) => (row.total ? decimal(row.mean_quality) : "–")},
  {name: "Stage", cell: (row) => badge(words(row.pipeline.stage))},
  {name: "Training", cell: readiness},
  {name: "Next", cell: (row) => html`<span class="note">${next(row)}</span>`},
];

function rateChart(rates) {
  if (!rates.length) return empty("The first figure comes within ten seconds of the server's start.");
  const values = rates.map((rate) => rate.events_per_second);
  return html`<line-chart .spec=${{
    words: `Events a second, now ${decimal(values.at(-1), 1)}, at most ${decimal(Math.max(...values), 1)} within the hour.`,
    x: {label: "time", time: true, format: (seconds) => new Date(seconds * 1000).toLocaleTimeString("en-GB")},
    y: {label: "events a second", zero: true},
    xs: rates.map((rate) => Date.parse(rate.time) / 1000),
    lines: [
      {name: "events", values, colour: "--accent"},
      {name: "unusable ones", values: rates.map((rate) => rate.invalid_per_second), colour: "--bad"},
    ],
  }}></line-chart>`;
}

function histogram(bins, category, chosen, names) {
  const total = bins.reduce((sum, bin) => sum + bin, 0);
  const best = bins.indexOf(Math.max(...bins));
  return html`<label class="pick">Of <select @change=${(event) => chosen(event.target.value)}>
      <option value="" ?selected=${!category}>every category</option>
      ${names.map((name) => html`<option value=${name} ?selected=${name === category}>${words(name)}</option>`)}</select></label>
    ${total
      ? html`<line-chart .spec=${{
          words: `${count(total)} examples by score; most lie from ${decimal(best / 20, 2)} to ${decimal((best + 1) / 20, 2)}.`,
          x: {label: "score", range: [0.55, 1.0]},
          y: {label: "examples", zero: true},
          xs: bins.map((_, place) => place / 20),
          lines: [{name: "examples", values: bins, colour: "--accent", bars: true}],
        }}></line-chart>`
      : empty("No example is stored here yet.", "Only scores from .60 are kept; what is rejected is counted.")}`;
}

function view({stats, pipeline, shadow, rates, bins, category}, chosen) {
  const byName = Object.fromEntries(pipeline.categories.map((row) => [row.category, row]));
  const rows = stats.categories
    .map((row) => ({...row, pipeline: byName[row.category] ?? {lacks: [], stage: "collecting", next: ""}}))
    .sort((a, b) => b.total - a.total);
  const rejected = Object.values(stats.rejected_by_reason).reduce((sum, value) => sum + value, 0);
  return html`
    <dl class="tiles">
      ${tile("Events a second", decimal(rates.at(-1)?.events_per_second, 1), "over the last 5 s")}
      ${tile("Examples", count(stats.total_examples), `${percent(stats.total_examples ? stats.tiers.gold / stats.total_examples : 0, 0)} gold`)}
      ${tile("Corrections", count(stats.human_corrections), `${count(stats.superseded)} replaced`)}
      ${tile("Rejections", count(rejected), "by reason, an event may have several")}
      ${tile("Trials", count(shadow.running), `running, of ${count(shadow.trials)}`)}
      ${tile("Promoted", count(pipeline.promoted), `${count(pipeline.rolled_back)} rolled back`)}
    </dl>
    <div class="grid">
      <section class="card"><h2>Ingest rate</h2>${rateChart(rates)}</section>
      <section class="card"><h2>Quality</h2>${histogram(bins, category, chosen, rows.filter((row) => row.total).map((row) => row.category))}</section>
    </div>
    <section class="card"><h2>Categories</h2>
      ${stats.total_examples === 0
        ? empty("No example is stored yet.", html`Bots publish events by <code>IngestService</code>; files come in by <code>becas-ft import FILE.jsonl</code>.`)
        : ""}
      ${table("Categories", COLUMNS, rows)}
    </section>`;
}

// Every stored example is read for it: rarely, and once the rest is there.
const HISTOGRAM_SECONDS = 60;

export default {
  title: "Overview",
  async open({show, signal}) {
    const seen = {bins: [], category: ""};
    let read = 0;
    const draw = () => show(view(seen, chosen));
    const spread = async () => {
      read = Date.now();
      const request = seen.category ? {category: enumeration("CATEGORY", seen.category)} : {};
      const {bins} = await call("DatasetService/GetQualityHistogram", request, signal);
      seen.bins = bins;
    };
    async function chosen(category) {
      seen.category = category;
      await spread();
      draw();
    }
    await repeat(5, signal, async () => {
      const [stats, pipeline, shadow, {rates}] = await Promise.all([
        call("DatasetService/GetTrainingStats", {}, signal),
        call("TrainingService/GetPipelineStats", {}, signal),
        call("ShadowService/GetShadowStats", {}, signal),
        call("DatasetService/GetIngestRate", {}, signal),
        ...(Date.now() - read > HISTOGRAM_SECONDS * 1000 ? [spread()] : []),
      ]);
      Object.assign(seen, {stats, pipeline, shadow, rates});
      draw();
    });
  },
};
