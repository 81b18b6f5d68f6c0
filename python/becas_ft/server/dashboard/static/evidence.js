// What a trial has shown, as a list of figures; the same wherever a person decides on it.
import {badge, count, decimal, evidence, html, percent, words} from "./parts.js";

const RECOMMENDED = {promote_b: "good", keep_a: "bad", need_more_data: "warn"};

const interval = (one, format = percent) =>
  one && Number.isFinite(one.estimate) ? `${format(one.estimate)} (${format(one.low)} to ${format(one.high)})` : "–";

export const recommendation = (report) =>
  badge(words(report.recommendation).replace(/\b[ab]$/, (side) => side.toUpperCase()), RECOMMENDED[report.recommendation]);

export function figures(report) {
  const rows = [
    ["Judged pairs", `${count(report.judged)} of ${count(report.pairs)}: ${count(report.wins)} wins, ${count(report.losses)} losses, ${count(report.ties)} ties`],
    ["Win rate", interval(report.win_rate)],
    ["E-value", `${evidence(report.e_value)}; promotes from ${evidence(report.e_threshold)}`],
    ["Accuracy of A", interval(report.accuracy_a)],
    ["Accuracy of B", interval(report.accuracy_b)],
    ["Latency, 95th percentile", `A ${decimal(report.latency_p95_a, 0)} ms, B ${decimal(report.latency_p95_b, 0)} ms`],
    ["Unusable answers of B", percent(report.invalid_rate_b)],
  ];
  return html`<dl class="figures">${rows.map(([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>
    ${report.broken_guardrails.map((broken) => html`<p class="failed">Guardrail: ${broken}</p>`)}`;
}
