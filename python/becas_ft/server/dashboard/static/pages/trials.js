// Shadow tests: what each has shown, and how the evidence grew.
import {call, repeat} from "../api.js";
import {figures, recommendation} from "../evidence.js";
import {ask, badge, count, decimal, empty, evidence, html, percent, say, table, when, words} from "../parts.js";

const state = (trial) =>
  trial.running ? badge(trial.watch ? "watches a promotion" : "running", "good") : badge("ended");

const COLUMNS = [
  {name: "Trial", cell: (trial) => html`<a href="#/trials/${trial.trial_id}">${trial.trial_id}</a>`},
  {name: "State", cell: state},
  {name: "Category", cell: (trial) => words(trial.category)},
  {name: "A answers, B beside it", cell: (trial) => html`<code>A ${trial.base_model}</code><br><code>B ${trial.candidate_model}</code>`},
  {name: "Sampled", number: true, cell: (trial) => percent(trial.sample_rate, 0)},
  {name: "Began", cell: (trial) => when(trial.created)},
  {name: "Ended", cell: (trial) => trial.ended_reason || "–"},
];

const none = () => empty("No shadow test was set up yet.",
  html`A trained candidate gets one by itself; <code>becas-ft shadow set-up CATEGORY MODEL</code> begins one now.`);

async function list({show, signal}) {
  await repeat(5, signal, async () => {
    const {recent, trials} = await call("ShadowService/GetShadowStats", {}, signal);
    show(recent.length
      ? html`<section class="card">${table("Trials, newest first", COLUMNS, recent)}
          ${trials > recent.length ? html`<p class="note">The newest ${count(recent.length)} of ${count(trials)}.</p>` : ""}</section>`
      : none());
  });
}

// Powers of ten as they are said.
const power = (exponent) => (Math.abs(exponent) < 3 ? String(Number((10 ** exponent).toPrecision(2))) : `1e${Math.round(exponent)}`);

function evidenceChart(points, threshold) {
  const limit = Math.log10(threshold);
  const values = points.map((point) => point.log10_e_value);
  const low = Math.min(-1, ...values), high = Math.max(limit * 1.15, ...values);
  return html`<line-chart .spec=${{
    words: `The e-value after ${count(points.length)} looks, now ${evidence(10 ** values.at(-1))}; ${evidence(threshold)} promotes.`,
    x: {label: "judged pairs"},
    y: {label: "e-value", range: [low, high], format: power},
    xs: points.map((point) => point.judged),
    lines: [
      {name: "e-value that decides", values, colour: "--accent"},
      {name: `promotes from ${evidence(threshold)}`, values: points.map(() => limit), colour: "--bad", dash: [6, 4]},
    ],
  }}></line-chart>`;
}

function rateChart(points) {
  const rates = points.map((point) => point.win_rate);
  const last = rates.findLast(Boolean);
  return html`<line-chart .spec=${{
    words: last
      ? `Win rate, now ${percent(last.estimate)}, with its 95 % confidence sequence from ${percent(last.low)} to ${percent(last.high)}.`
      : "No pair was won or lost yet.",
    x: {label: "judged pairs"},
    y: {label: "win rate", range: [0, 1], format: (value) => percent(value, 0)},
    xs: points.map((point) => point.judged),
    lines: [
      {name: "upper end", values: rates.map((rate) => rate?.high ?? null), colour: "--accent", band: "--band"},
      {name: "lower end", values: rates.map((rate) => rate?.low ?? null), colour: "--accent", edge: true},
      {name: "win rate, with its confidence sequence", values: rates.map((rate) => rate?.estimate ?? null), colour: "--accent"},
      {name: "no better, no worse", values: points.map(() => 0.5), colour: "--muted", dash: [6, 4]},
    ],
  }}></line-chart>`;
}

const CLASSES = [
  {name: "Truth", cell: (row) => row.label},
  {name: "Pairs", number: true, cell: (row) => count(row.pairs)},
  {name: "A right", number: true, cell: (row) => count(row.right_a)},
  {name: "B right", number: true, cell: (row) => count(row.right_b)},
];

function detail(report, {points, e_threshold: threshold}, stop) {
  const {trial} = report;
  return html`
    <p><a href="#/trials">All trials</a></p>
    <section class="card"><div class="head"><h2><code>${trial.trial_id}</code></h2> ${state(trial)} ${recommendation(report)}
        ${trial.running ? html`<button type="button" @click=${stop}>Stop…</button>` : ""}</div>
      <p>A <code>${trial.base_model}</code> answers; B <code>${trial.candidate_model}</code> runs beside it on ${percent(trial.sample_rate, 0)} of the requests.
        ${trial.ended_reason ? html`Ended ${when(trial.ended)}: ${trial.ended_reason}.` : html`It began ${when(trial.created)}.`}</p>
      <p>${report.reasoning}</p>${figures(report)}</section>
    <div class="grid">
      <section class="card"><h2>Evidence</h2>${points.length ? evidenceChart(points, threshold) : unjudged()}</section>
      <section class="card"><h2>Win rate</h2>${points.length ? rateChart(points) : unjudged()}</section>
    </div>
    <section class="card"><h2>By truth</h2>${report.classes.length ? table("Judged pairs by truth", CLASSES, report.classes) : unjudged()}</section>
    <section class="card"><h2>Calibration</h2><p>A: Brier ${decimal(report.calibration_a?.brier)}, ECE ${decimal(report.calibration_a?.ece)}.
      B: Brier ${decimal(report.calibration_b?.brier)}, ECE ${decimal(report.calibration_b?.ece)}. Over ${count(report.calibration_b?.pairs)} judged pairs.</p></section>`;
}

const unjudged = () => empty("No pair has a truth yet.", html`<a href="#/queue">Label what the models disagree about.</a>`);

async function one({show, signal}, trialId) {
  const request = {trial_id: trialId};
  const load = async () => {
    const [{report}, path] = await Promise.all([
      call("ShadowService/GetComparisonReport", request, signal),
      call("ShadowService/GetTrialPath", request, signal),
    ]);
    show(detail(report, path, stop));
  };
  async function stop() {
    const said = await ask({
      title: "Stop this trial?",
      body: html`<p>It takes no pairs any more and cannot go on: a new trial begins from nothing, at a stricter threshold.</p>`,
      fields: [{name: "reason", label: "Why", required: true}],
      action: "Stop it",
      danger: true,
    });
    if (!said) return;
    await call("ShadowService/StopShadowTest", {...request, reason: said.reason}, signal).then(() => say("Stopped"), (error) => say(error.message));
    await load();
  }
  await repeat(10, signal, load);
}

export default {
  title: "Trials",
  open: (context) => (context.params[0] ? one(context, context.params[0]) : list(context)),
};
