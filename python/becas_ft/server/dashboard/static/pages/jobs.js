// Trainings: live while they run, with their loss.
import {call, follow, repeat} from "../api.js";
import {ask, badge, count, decimal, duration, empty, html, percent, say, table, when, words} from "../parts.js";

const KINDS = {failed: "bad", deployed: "good", training: "warn", testing: "warn", evaluating: "warn", promoting: "warn"};
const stage = (job) => badge(job.cancelled ? "cancelled" : words(job.stage), KINDS[job.stage]);
const progress = (job) => (job.steps ? `${job.step_name}: ${count(job.step)} of ${count(job.steps)}` : job.step_name || "–");

const COLUMNS = [
  {name: "Job", cell: (job) => html`<a href="#/jobs/${job.job_id}">${job.job_id}</a>`},
  {name: "Stage", cell: stage},
  {name: "Now", cell: (job) => (job.ended ? job.error || job.model || "–" : progress(job))},
  {name: "Loss", number: true, cell: (job) => (job.loss ? decimal(job.loss) : "–")},
  {name: "Base", cell: (job) => html`<code>${job.base_model}</code>`},
  {name: "Began", cell: (job) => when(job.created)},
  {name: "Took", number: true, cell: (job) => duration(job.seconds)},
];

const none = () => empty("No training was started yet.",
  html`A category that has what it takes is trained by itself (see <a href="#/">what each lacks</a>); <code>becas-ft train CATEGORY</code> begins one now.`);

async function list({show, signal}) {
  await repeat(3, signal, async () => {
    const {jobs} = await call("TrainingService/ListJobs", {page_size: 200}, signal);
    show(jobs.length ? html`<section class="card">${table("Jobs, newest first", COLUMNS, jobs)}</section>` : none());
  });
}

// Exponential moving average, corrected for its start: single steps jump too much to be read.
function smoothed(values) {
  let average = 0;
  return values.map((value, place) => {
    average = 0.9 * average + 0.1 * value;
    return average / (1 - 0.9 ** (place + 1));
  });
}

function curve(points) {
  if (!points.length) return empty("No step was trained yet.", "The curve appears with the first one.");
  const losses = points.map((point) => point.loss), smooth = smoothed(losses);
  return html`<line-chart .spec=${{
    words: `Training loss over ${count(points.at(-1).step)} steps, from ${decimal(losses[0])} to ${decimal(smooth.at(-1))} nats a token.`,
    x: {label: "optimizer step"},
    y: {label: "loss, nats a token", zero: true},
    xs: points.map((point) => point.step),
    lines: [
      {name: "step", values: losses, colour: "--silver"},
      {name: "smoothed", values: smooth, colour: "--accent"},
    ],
  }}></line-chart>`;
}

function detail(job, points, connected, cancel) {
  const {checks} = job;
  const rows = [
    ["Category", words(job.category)],
    ["Base", job.base_model],
    ["Examples", `${count(job.train_examples)} to learn from, ${count(job.held_out_examples)} held out`],
    ["Tokens a second", count(job.tokens_per_second)],
    ["Time left", job.ended ? "–" : duration(job.seconds_left)],
    ["Took", duration(job.seconds)],
    ["Peak memory", job.peak_memory_bytes ? `${count(job.peak_memory_bytes / 2 ** 20)} MiB` : "–"],
    ["Candidate", job.model || "–"],
    ["Dataset", job.dataset_id.slice(0, 16) || "–"],
    ...(checks?.held_out
      ? [["Held-out accuracy", `${percent(checks.candidate_accuracy)} (base ${percent(checks.base_accuracy)}, with examples ${percent(checks.few_shot_accuracy)})`],
         ["Parity", `${percent(checks.parity)} of ${count(checks.parity_inputs)} inputs`]]
      : []),
  ];
  return html`
    <p><a href="#/jobs">All jobs</a></p>
    <section class="card"><div class="head"><h2><code>${job.job_id}</code></h2> ${stage(job)} ${connected ? "" : badge("not connected", "bad")}
        ${job.ended ? "" : html`<button type="button" @click=${cancel}>Cancel…</button>`}</div>
      ${job.ended ? "" : html`<p>${progress(job)}</p>${job.steps ? html`<progress max=${job.steps} value=${job.step} aria-label="Steps of this stage"></progress>` : ""}`}
      ${job.error ? html`<p class="failed">${job.error}</p>` : ""}
      ${job.overrides.map((override) => html`<p class="note">Overridden: ${override}</p>`)}
      <dl class="figures">${rows.map(([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`)}</dl></section>
    <section class="card"><h2>Loss</h2>${curve(points)}</section>`;
}

async function one({show, signal}, jobId) {
  const request = {job_id: jobId};
  let job = await call("TrainingService/GetJob", request, signal);
  let points = [];
  let connected = true;
  let asked = 0;
  const draw = () => show(detail(job, points, connected, cancel));
  const losses = async () => {
    asked = Date.now();
    ({points} = await call("TrainingService/GetLossCurve", request, signal));
    draw();
  };
  async function cancel() {
    const said = await ask({title: "Cancel this job?", body: html`<p>Nothing half-made stays.</p>`, action: "Cancel the job", danger: true});
    if (said) await call("TrainingService/CancelJob", request, signal).then(() => say("Cancelled"), (error) => say(error.message));
  }
  await losses();
  if (job.ended) return;
  const watching = new AbortController();
  signal.addEventListener("abort", () => watching.abort());
  await follow(
    "TrainingService/WatchJob",
    () => request,
    (changed) => {
      job = changed;
      draw();
      if (Date.now() - asked > 1000 || job.ended) losses().catch(() => {});
      if (job.ended) watching.abort();
    },
    (state) => ((connected = state), draw()),
    watching.signal,
  );
}

export default {
  title: "Jobs",
  open: (context) => (context.params[0] ? one(context, context.params[0]) : list(context)),
};
