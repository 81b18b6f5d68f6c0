// The frame: which page is shown, who is signed in.
import {signedIn, signIn, signOut} from "./api.js";
import {capital, empty, html, render} from "./parts.js";
import "./chart.js";
import audit from "./pages/audit.js";
import events from "./pages/events.js";
import jobs from "./pages/jobs.js";
import models from "./pages/models.js";
import overview from "./pages/overview.js";
import queue from "./pages/queue.js";
import trials from "./pages/trials.js";

// A page: {title, open({params, show, signal})}; `open` shows templates until the signal aborts.
const PAGES = {"": overview, queue, jobs, trials, models, audit, events};

const main = document.getElementById("main");
main.replaceChildren();
const nav = document.getElementById("nav");
const leave = document.getElementById("sign-out");
let closing = new AbortController();

const address = () => location.hash.replace(/^#\/?/, "").split("/").map(decodeURIComponent);

function links(current) {
  return Object.entries(PAGES).map(
    ([name, page]) => html`<a href="#/${name}" aria-current=${name === current ? "page" : "false"}>${page.title}</a>`,
  );
}

async function open(focus) {
  closing.abort();
  closing = new AbortController();
  const {signal} = closing;
  const [name, ...params] = address();
  const page = PAGES[name];
  render(links(name), nav);
  leave.hidden = !signedIn();
  document.title = `${page?.title ?? "No such page"} · becas-ft`;
  let opened = false;
  const show = (template) => {
    if (!signal.aborted) render(html`<h1>${page.title}</h1>${template}`, main);
    // When there is something to see: the browser's own tools, and our tests, read it.
    if (opened) performance.mark("shown");
  };
  if (!page) return render(empty("There is no such page.", html`<a href="#/">Go to the overview.</a>`), main);
  if (focus) main.focus();
  show(empty("Loading…"));
  opened = true;
  try {
    await page.open({params, show, signal});
  } catch (error) {
    if (signal.aborted) return;
    if (error.status === 401 || error.code === "UNAUTHENTICATED") show(signInForm(error));
    else if (error.status === 403 || error.code === "PERMISSION_DENIED") show(empty(`${capital(error.message)}.`));
    else {
      show(html`<p class="failed" role="alert">${capital(error.message)}</p>
        <p><button type="button" class="primary" @click=${() => open(false)}>Try again</button></p>`);
    }
  }
}

function signInForm(error) {
  const submit = (event) => {
    event.preventDefault();
    signIn(new FormData(event.target).get("token").trim());
    open(true);
  };
  return html`<form class="card sign-in" @submit=${submit}>
    <p>${signedIn() ? capital(error.message) : "This server asks who you are."}</p>
    <label>Token <input name="token" type="password" required autocomplete="off" spellcheck="false"></label>
    <p class="note">It is kept in this tab and sent to this server only. <code>becas-ft access token add</code> makes one.</p>
    <button type="submit" class="primary">Sign in</button>
  </form>`;
}

leave.addEventListener("click", () => {
  signOut();
  open(true);
});
addEventListener("hashchange", () => open(true));
// The link of the page that is open changes no address: it opens the page again, and its keys work at once.
nav.addEventListener("click", (event) => {
  if (event.target.closest("a")?.hash === location.hash) open(true);
});
open(false);
