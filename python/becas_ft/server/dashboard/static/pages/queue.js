// What needs a person's label, one at a time; a key decides. Which model said what is not told, and so sways nobody.
import {call, repeat} from "../api.js";
import {badge, count, empty, failed, html, say, when, words} from "../parts.js";

const PAGE = 100;
const MOST_KEYS = 9;

// Every label of the category where there are few; else what the models said. Always in the order of the alphabet.
function choices(entry) {
  const said = [entry.label_a, entry.label_b].filter(Boolean);
  return [...new Set([...said, ...(entry.labels ?? [])])].sort().slice(0, MOST_KEYS);
}

const why = (entry) =>
  !entry.trial_id
    ? "A correction of this case gave no label"
    : entry.audit
      ? "The models agree: a random check"
      : "The models disagree";

class Queue {
  constructor({show, signal}) {
    Object.assign(this, {show, signal, waiting: [], seen: new Set(), past: [], done: 0, token: "", error: null, busy: false});
  }

  async run() {
    await this.more();
    this.draw();
    this.focus();
    await repeat(5, this.signal, async () => {
      if (this.waiting.length) return;
      this.token = "";
      await this.more();
      if (this.waiting.length) this.draw();
    });
  }

  async more() {
    const found = await call("ShadowService/ListDisagreements", {page_size: PAGE, page_token: this.token}, this.signal);
    this.token = found.next_page_token;
    for (const entry of found.disagreements) {
      if (!this.seen.has(entry.pair_id)) this.waiting.push(entry);
      this.seen.add(entry.pair_id);
    }
  }

  focus() {
    document.getElementById("case")?.focus();
  }

  async next() {
    if (!this.waiting.length && this.token) await this.more();
    this.error = null;
    this.draw();
    this.focus();
  }

  async decide(truth) {
    const [entry] = this.waiting;
    if (!entry || !truth || this.busy) return;
    this.busy = true;
    try {
      const {replaced} = await call("ShadowService/RecordTruth", {request_id: entry.pair_id, truth}, this.signal);
      this.waiting.shift();
      this.past.push(entry);
      this.done += replaced ? 0 : 1;
      say(`Labelled ${truth}`);
      await this.next();
    } catch (error) {
      if (this.signal.aborted) return;
      this.error = error;
      this.draw();
    } finally {
      this.busy = false;
    }
  }

  skip() {
    if (this.waiting.length) this.past.push(this.waiting.shift());
    this.next();
  }

  back() {
    if (!this.past.length) return;
    this.waiting.unshift(this.past.pop());
    this.next();
  }

  key(event) {
    if (event.target.matches("input, textarea, select") || event.ctrlKey || event.metaKey || event.altKey) return;
    const [entry] = this.waiting;
    const chosen = entry && entry.trial_id ? choices(entry)[Number(event.key) - 1] : undefined;
    const does = chosen ? () => this.decide(chosen) : {s: () => this.skip(), b: () => this.back(), o: () => this.other()}[event.key];
    if (!does) return;
    event.preventDefault();
    does();
  }

  other() {
    document.querySelector("#other input")?.focus();
  }

  draw() {
    const [entry] = this.waiting;
    this.show(html`
      <p class="note">${this.done ? `${count(this.done)} labelled here. ` : ""}${count(this.waiting.length)}${this.token ? " or more" : ""} waiting.
        Only what the models disagree about moves the evidence; agreements are checked at random.</p>
      ${entry ? this.card(entry) : this.none()}`);
  }

  none() {
    return html`<section class="card" id="case" tabindex="-1">${empty(
      "Nothing waits for a label.",
      this.done
        ? html`What the labels say of the models stands under <a href="#/trials">Trials</a>.`
        : html`Cases come while a shadow test runs: each candidate gets one by itself, or by
            <code>becas-ft shadow set-up CATEGORY MODEL</code>.`,
    )}${this.past.length ? html`<button type="button" @click=${() => this.back()}>Back to the last one</button>` : ""}</section>`;
  }

  card(entry) {
    const submit = (event) => {
      event.preventDefault();
      this.decide(new FormData(event.target).get("truth").trim());
      event.target.reset();
    };
    return html`<section class="card case" id="case" tabindex="-1" aria-labelledby="question" @keydown=${(event) => this.key(event)}>
      <p>${badge(words(entry.category))} ${badge(why(entry), entry.audit ? "" : "warn")} <span class="note">${when(entry.time)}</span></p>
      <h2 id="question">What is right?</h2>
      ${entry.input
        ? html`<pre class="message" tabindex="0" role="region" aria-label="Message">${entry.input}</pre>`
        : empty("The bot that compared the models sent no message with this pair.", "Look at it there, or skip it.")}
      ${this.error ? failed(this.error) : ""}
      ${entry.trial_id
        ? html`<div class="choices">${choices(entry).map((label, place) => html`
            <button type="button" class="choice" aria-keyshortcuts=${place + 1} @click=${() => this.decide(label)}>
              <kbd>${place + 1}</kbd> ${label}</button>`)}</div>
          <form id="other" @submit=${submit}><label>Another label <kbd>O</kbd> <input name="truth" required maxlength="500" autocomplete="off"></label>
            <button type="submit">Use it</button></form>`
        : html`<p>It stands as <code>${entry.label_a || "nothing"}</code>. Publish an <code>ai.correction</code> with <code>correctedLabel</code>
            for the original event: that decides it.</p>`}
      <p class="actions"><button type="button" class="quiet" aria-keyshortcuts="s" @click=${() => this.skip()}><kbd>S</kbd> Skip</button>
        <button type="button" class="quiet" aria-keyshortcuts="b" ?disabled=${!this.past.length} @click=${() => this.back()}><kbd>B</kbd> Back</button></p>
    </section>`;
  }
}

export default {
  title: "Labelling",
  open: (context) => new Queue(context).run(),
};
