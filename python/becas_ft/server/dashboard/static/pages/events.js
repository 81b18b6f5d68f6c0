// What the service tells the world, as it happens.
import {follow} from "../api.js";
import {badge, count, empty, exactly, html, say, table, words} from "../parts.js";

const SHOWN = 200;
const KINDS = {"fine_tuning.promoted": "good", "fine_tuning.completed": "good", "fine_tuning.ready_for_promotion": "warn",
  "fine_tuning.rolled_back": "bad", "fine_tuning.failed": "bad"};

const about = (event) => [event.model, event.job_id, event.trial_id].filter(Boolean);

const COLUMNS = [
  {name: "No.", number: true, cell: (event) => count(event.cursor)},
  {name: "When", cell: (event) => exactly(event.time)},
  {name: "What", cell: (event) => badge(event.name, KINDS[event.name])},
  {name: "Category", cell: (event) => words(event.category) || "–"},
  {name: "Of", cell: (event) => about(event).map((name) => html`<code>${name}</code> `)},
  {name: "Why", cell: (event) => event.reason || "–"},
];

export default {
  title: "Events",
  async open({show, signal}) {
    const events = [];
    let connected = true, cursor = 0, live = false;
    const draw = () => show(html`
      <p>${connected ? badge("live", "good") : badge("not connected: trying again", "bad")}
        <span class="note">Bots and scripts follow the same events by <code>EventService/Subscribe</code>.</span></p>
      ${events.length
        ? html`<section class="card">${table("Published events, newest first", COLUMNS, events)}</section>`
        : empty("Nothing was published yet.", "Trainings, shadow tests, promotions and rollbacks will appear here by themselves.")}`);
    let waiting = 0;
    const took = (event) => {
      cursor = event.cursor;
      events.unshift(event);
      events.length = Math.min(events.length, SHOWN);
      if (live) say(`${event.name}: ${about(event)[0] ?? words(event.category)}`);
      // Kept events come by the thousand: one drawing for all that came at once.
      waiting ||= requestAnimationFrame(() => ((waiting = 0), (live = true), draw()));
    };
    await follow("EventService/Subscribe", () => ({after_cursor: cursor}), took, (state) => ((connected = state), draw()), signal);
  },
};
