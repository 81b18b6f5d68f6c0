// What the pages are made of: numbers and times in words, tables, tiles, dialogs.
import {html, nothing, render, svg} from "./vendor/lit-html/lit-html.js";

export {html, nothing, render};

const whole = new Intl.NumberFormat("en", {maximumFractionDigits: 0});
const compact = new Intl.NumberFormat("en", {notation: "compact", maximumFractionDigits: 1});
const moment = new Intl.DateTimeFormat("en", {dateStyle: "medium", timeStyle: "medium"});
const relative = new Intl.RelativeTimeFormat("en", {numeric: "auto"});
const UNITS = [["day", 86_400], ["hour", 3_600], ["minute", 60], ["second", 1]];

export const count = (value) => whole.format(value ?? 0);
export const short = (value) => compact.format(value ?? 0);
export const percent = (value, digits = 1) => `${((value ?? 0) * 100).toFixed(digits)} %`;
export const decimal = (value, digits = 3) => (value ?? 0).toFixed(digits);
export const words = (name) => (name ?? "").replaceAll("_", " ");
export const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);
export const enumeration = (prefix, name) => `${prefix}_${name.toUpperCase()}`;

// `1.2 × 10⁴` is read aloud badly; `12,000` and `1.2e+9` are read well.
export const evidence = (value) =>
  value >= 1e6 || (value > 0 && value < 1e-3) ? value.toExponential(1) : value >= 100 ? count(value) : value.toPrecision(3);

export function duration(seconds) {
  if (!seconds) return "–";
  if (seconds < 60) return `${Math.round(seconds)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`;
  return `${Math.floor(seconds / 3600)} h ${Math.round((seconds % 3600) / 60)} min`;
}

export function when(text) {
  if (!text) return "–";
  const date = new Date(text);
  const seconds = (date - Date.now()) / 1000;
  const [unit, size] = UNITS.find(([, size]) => Math.abs(seconds) >= size) ?? UNITS[3];
  const ago = relative.format(Math.round(seconds / size), unit);
  return html`<time datetime=${text} title=${moment.format(date)}>${ago}</time>`;
}

export const exactly = (text) => html`<time datetime=${text}>${moment.format(new Date(text))}</time>`;

// What stands where nothing is: why, and what to do.
export const empty = (why, remedy = nothing) => html`<p class="empty">${why} ${remedy}</p>`;

export const failed = (error) => html`<p class="failed" role="alert">${capital(error.message)}</p>`;

export const badge = (text, kind = "") => html`<span class="badge ${kind}">${text}</span>`;

export const tile = (name, value, note = nothing) =>
  html`<div class="tile"><dt>${name}</dt><dd>${value}</dd>${note === nothing ? note : html`<dd class="note">${note}</dd>`}</div>`;

// A table; its rows become lists of names and values where the screen is narrow. Cells are templates, numbers stand right.
export function table(caption, columns, rows) {
  return html`<div class="scroll" tabindex="0" role="region" aria-label=${caption}>
    <table>
      <caption class="hidden">${caption}</caption>
      <thead><tr>${columns.map((column) => html`<th scope="col" class=${column.number ? "number" : ""}>${column.name}</th>`)}</tr></thead>
      <tbody>${rows.map(
        (row) => html`<tr>${columns.map((column, place) =>
          place
            ? html`<td class=${column.number ? "number" : ""} data-name=${column.name}>${column.cell(row)}</td>`
            : html`<th scope="row">${column.cell(row)}</th>`)}</tr>`)}</tbody>
    </table>
  </div>`;
}

// Shares of a whole as one bar; the words beside it say the same.
export function bar(parts) {
  const total = parts.reduce((sum, part) => sum + part.value, 0);
  let from = 0;
  const rects = parts.map((part) => {
    const size = total ? (part.value / total) * 100 : 0;
    const x = from;
    from += size;
    return svgRect(x, size, part.kind);
  });
  const text = parts.map((part) => `${part.name} ${count(part.value)}`).join(", ");
  return html`<svg class="bar" viewBox="0 0 100 8" preserveAspectRatio="none" role="img" aria-label=${text}><title>${text}</title>${rects}</svg>`;
}

const svgRect = (x, size, kind) => svg`<rect x=${x} y="0" width=${size} height="8" class=${kind}></rect>`;

// Says something once, aloud too.
let clearing;
export function say(text) {
  const place = document.getElementById("status");
  place.textContent = text;
  clearTimeout(clearing);
  clearing = setTimeout(() => (place.textContent = ""), 6000);
}

const input = (field) =>
  field.options
    ? html`<select name=${field.name}>${field.options.map(([value, text]) => html`<option value=${value}>${text}</option>`)}</select>`
    : html`<input name=${field.name} .value=${field.value ?? ""} ?required=${field.required} maxlength="500" autocomplete="off">`;

// Asks before something happens; resolves to the form's fields, or to null where the answer is no.
export function ask({title, body, fields = [], action, danger = false}) {
  const dialog = document.createElement("dialog");
  dialog.setAttribute("aria-labelledby", "dialog-title");
  document.body.append(dialog);
  const template = html`<form method="dialog">
    <h2 id="dialog-title">${title}</h2>
    <div class="dialog-body">${body}</div>
    ${fields.map((field) => html`<label>${field.label} ${input(field)}</label>`)}
    <div class="actions">
      <button type="submit" value="yes" class=${danger ? "danger" : "primary"}>${action}</button>
      <button type="submit" value="no" class="quiet" formnovalidate>Cancel</button>
    </div>
  </form>`;
  render(template, dialog);
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      const form = new FormData(dialog.querySelector("form"));
      resolve(dialog.returnValue === "yes" ? Object.fromEntries(form) : null);
      dialog.remove();
    });
    dialog.showModal();
  });
}
