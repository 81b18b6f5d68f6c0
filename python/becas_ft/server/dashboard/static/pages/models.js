// Models with what they came from and what they became; promotion and rollback, with the evidence before the eyes.
import {call, repeat} from "../api.js";
import {figures, recommendation} from "../evidence.js";
import {ask, badge, capital, empty, enumeration, failed, html, percent, say, when, words} from "../parts.js";

const NAME = "becas-name";
const STATES = {promoted: "good", refused: "bad", rolled_back: "bad", candidate: "warn"};
const PROMOTABLE = ["candidate", "retired", "rolled_back"];

const who = () => ({name: "actor", label: "Your name, for the audit log", value: localStorage.getItem(NAME) ?? ""});

const digest = (text) => html`<code title=${text}>${text.slice(0, 12)}</code>`;

function lineage(model, trial, alias) {
  const steps = [
    ["Dataset", model.dataset_id ? digest(model.dataset_id) : "made elsewhere"],
    ["Adapter", model.adapter_digest ? digest(model.adapter_digest) : "none"],
    ["Trial", trial ? html`<code>${trial.trial_id}</code> ${trial.running ? "running" : trial.ended_reason}` : "not tested yet"],
    ["Alias", alias?.model === model.name
      ? html`answers <code>${alias.name}</code> since ${when(alias.since)}`
      : alias?.previous_model === model.name ? html`answered <code>${alias.name}</code> before` : "does not answer"],
  ];
  return html`<ol class="lineage">${steps.map(([name, value]) => html`<li><span class="step">${name}</span> ${value}</li>`)}</ol>`;
}

class Models {
  constructor({show, signal}) {
    Object.assign(this, {show, signal, error: null, busy: false});
  }

  run() {
    return repeat(5, this.signal, () => this.load());
  }

  async load() {
    const [{models, aliases}, {recent}] = await Promise.all([
      call("ModelService/ListModels", {}, this.signal),
      call("ShadowService/GetShadowStats", {}, this.signal),
    ]);
    Object.assign(this, {models, aliases, recent});
    this.draw();
  }

  // The newest trial that tested a model as candidate.
  trialOf(model) {
    return this.recent.find((trial) => trial.candidate_model === model.name && !trial.watch);
  }

  async report(trial) {
    if (!trial) return null;
    return (await call("ShadowService/GetComparisonReport", {trial_id: trial.trial_id}, this.signal)).report;
  }

  async act(does, done) {
    if (this.busy) return;
    this.busy = true;
    this.error = null;
    try {
      if (await does()) {
        say(done);
        await this.load();
      }
    } catch (error) {
      if (this.signal.aborted) return;
      this.error = error;
    } finally {
      this.busy = false;
      if (!this.signal.aborted) this.draw();
    }
  }

  promote(model, alias) {
    return this.act(async () => {
      const trial = this.trialOf(model);
      const report = await this.report(trial);
      const answers = alias ? alias.model : model.base_model;
      const body = html`<p><code>${model.name}</code> is to answer ${words(model.category)} in place of <code>${answers}</code>.</p>
        ${report
          ? html`<p>${recommendation(report)} <code>${trial.trial_id}</code></p><p>${report.reasoning}</p>${figures(report)}`
          : html`<p class="failed">It has no shadow test: the server will refuse.</p>`}`;
      const fields = [who(), {name: "reason", label: "Why"}];
      const said = await ask({title: "Promote?", body, fields, action: "Promote"});
      if (!said) return false;
      localStorage.setItem(NAME, said.actor);
      await call("ModelService/Promote", {model: model.name, ...said, request_id: crypto.randomUUID()}, this.signal);
      return true;
    }, `${model.name} answers now`);
  }

  rollBack(alias) {
    return this.act(async () => {
      const watch = this.recent.find((trial) => trial.watch && trial.base_model === alias.model);
      const report = await this.report(watch);
      const before = this.models.filter((model) => model.category === alias.category && model.name !== alias.model
        && ["retired", "rolled_back"].includes(model.state));
      const options = [["", `the version before: ${alias.previous_model || "the base"}`],
        ...before.map((model) => [String(model.version), model.name]), ["0", "the base"]];
      const body = html`<p><code>${alias.model}</code> answers ${words(alias.category)} since ${when(alias.since)}.</p>
        ${report
          ? html`<p>Since then <code>${watch.trial_id}</code> watches it: A is the model that answers, B the one before.</p>
            <p>${report.reasoning}</p>${figures(report)}`
          : html`<p>No shadow test watches it.</p>`}`;
      const fields = [{name: "to", label: "Back to", options}, who(), {name: "reason", label: "Why", required: true}];
      const said = await ask({title: "Roll back?", body, fields, action: "Roll back", danger: true});
      if (!said) return false;
      localStorage.setItem(NAME, said.actor);
      const {to, ...more} = said;
      const request = {category: enumeration("CATEGORY", alias.category), ...more, request_id: crypto.randomUUID()};
      await call("ModelService/Rollback", to === "" ? request : {...request, to_version: Number(to)}, this.signal);
      return true;
    }, `${capital(words(alias.category))} is rolled back`);
  }

  draw() {
    const categories = [...new Set(this.models.map((model) => model.category).filter(Boolean))].sort();
    const bases = this.models.filter((model) => model.state === "base");
    this.show(html`
      ${this.error ? failed(this.error) : ""}
      ${categories.length ? "" : empty("No model was trained or registered yet.",
        html`A category that is ready is trained by itself; <code>becas-ft train CATEGORY</code> begins one now.`)}
      ${categories.map((category) => this.category(category))}
      ${bases.length ? html`<section class="card"><h2>Base models</h2><ul class="plain">${bases.map(
        (model) => html`<li><code>${model.name}</code> <span class="note">since ${when(model.created)}</span></li>`)}</ul></section>` : ""}`);
  }

  category(category) {
    const alias = this.aliases.find((one) => one.category === category);
    const models = this.models.filter((model) => model.category === category);
    return html`<section class="card" aria-labelledby=${`of-${category}`}>
      <div class="head"><h2 id=${`of-${category}`}>${words(category)}</h2>
        ${alias
          ? html`<p>Answers: <code>${alias.model}</code></p>
            <button type="button" @click=${() => this.rollBack(alias)}>Roll back…</button>`
          : html`<p>Answers: the base. Nothing was promoted yet.</p>`}</div>
      <ul class="plain">${models.map((model) => this.model(model, alias))}</ul>
    </section>`;
  }

  model(model, alias) {
    const {checks} = model;
    return html`<li class="model">
      <div class="head"><h3><code>${model.name}</code></h3> ${badge(words(model.state), STATES[model.state])}
        ${model.built_on_erased ? badge("learned from erased examples", "bad") : ""}
        ${PROMOTABLE.includes(model.state) && alias?.model !== model.name
          ? html`<button type="button" class="primary" @click=${() => this.promote(model, alias)}>Promote…</button>` : ""}</div>
      ${lineage(model, this.trialOf(model), alias)}
      <p class="note">Version ${model.version} of ${model.base_model}, ${when(model.created)}.
        ${checks?.held_out ? `Held-out accuracy ${percent(checks.candidate_accuracy)} (base ${percent(checks.base_accuracy)}, with examples in its prompt ${percent(checks.few_shot_accuracy)}); parity ${percent(checks.parity)}.` : ""}</p>
    </li>`;
  }
}

export default {
  title: "Models",
  open: (context) => new Models(context).run(),
};
