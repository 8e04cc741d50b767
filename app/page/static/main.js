// Puts the page together, and keeps it up to date.

import { Actions } from "./actions.js";
import { Api } from "./api.js";
import { Archive } from "./archive.js";
import { Composer } from "./composer.js";
import { Door } from "./door.js";
import { Gallery, examples } from "./gallery.js";
import { Pictures } from "./pictures.js";
import { Status } from "./status.js";
import { Viewer } from "./viewer.js";
import { Watcher } from "./watcher.js";
import { byId, say } from "./dom.js";

const CALM_MS = 4000; // between looks, while all that is on its way is followed
const BUSY_MS = 1500; // where there are more jobs than are followed, or the service is away

const facts = JSON.parse(byId("facts").textContent);
const api = new Api();
const archive = new Archive(api);
const pictures = new Pictures(api);
const watcher = new Watcher(api, archive);
const actions = new Actions(api, archive);
const status = new Status(api);
const composer = new Composer(api, archive, facts.previews);
const viewer = new Viewer({
  archive,
  actions,
  pictures,
  on: {
    reuse: (job, seed) => composer.reuse(job, seed),
    closed: (id) => gallery.focus(id),
    needsKey: facts.needs_keys,
  },
});
const gallery = new Gallery({ archive, actions, pictures, viewer });
const door = new Door(api, enter);
const isLocked = () => facts.needs_keys && !api.hasKey;
let timer;
let isLooking = false;
let isWanted = false; // once more, as something happened since it began
let shownExamples;

/** One look at everything; the next one follows by itself. */
async function look() {
  isWanted = isLooking;
  if (isLooking) return;
  isLooking = true;
  clearTimeout(timer);
  let pause = BUSY_MS;
  try {
    await status.look();
    if (!isLocked()) await read();
    if (!watcher.leavesOut) pause = CALM_MS;
  } catch (error) {
    status.fail(error);
  } finally {
    isLooking = false;
    if (!document.hidden) timer = setTimeout(look, isWanted ? 0 : pause);
  }
}

async function read() {
  const [{ models }] = await Promise.all([api.get("/models"), archive.refresh(watcher.isFollowed)]);
  status.show(models);
  composer.offer(models);
  suggest();
  gallery.settle();
}

function suggest() {
  const model = composer.modelId;
  if (model === shownExamples) return;
  shownExamples = model;
  examples(facts.examples[model] ?? facts.examples[""], (prompt) => {
    composer.write(prompt);
    composer.submit();
  });
  say(
    byId("empty-text"),
    model
      ? "Write what you would like to see, or begin with one of these:"
      : "No worker has told of a model yet. As soon as one starts, you can begin with one of these:",
  );
}

function enter() {
  byId("room").hidden = false;
  byId("forget").hidden = !api.hasKey;
  byId("prompt").focus({ preventScroll: true });
  look();
}

function leave(reason) {
  api.keep("");
  watcher.stop();
  archive.clear();
  for (const dialog of document.querySelectorAll("dialog[open]")) dialog.close();
  door.show(reason);
}

api.addEventListener("locked", () => byId("room").hidden || leave("The key is no longer known."));
api.addEventListener("reach", () => isLooking || look());
document.addEventListener("visibilitychange", () => document.hidden || look());
byId("forget").addEventListener("click", () => {
  composer.clear();
  leave();
});
byId("help").addEventListener("click", () => byId("keys").showModal());
byId("composer").addEventListener("accepted", ({ detail }) => {
  const card = document.querySelector(`.card[data-id="${detail.id}"]`);
  if (!wide.matches) card?.scrollIntoView({ block: "center" });
});

// The form stays in sight beside a long gallery: by its top where it fits, else by its bottom.
new ResizeObserver(([{ target }]) => {
  target.style.setProperty("--tall", `${target.offsetHeight}px`);
}).observe(byId("composer"));

const wide = matchMedia("(min-width: 60rem)");
const unfold = () => wide.matches && byId("settings").setAttribute("open", "");
wide.addEventListener("change", unfold);
unfold();

const { dataset } = document.documentElement;
const NEXT_THEME = { auto: "dark", dark: "light", light: "auto" };
const nameTheme = () => say(byId("theme"), `Theme: ${dataset.theme}`);
byId("theme").addEventListener("click", () => {
  dataset.theme = NEXT_THEME[dataset.theme] ?? "auto";
  localStorage.setItem("theme", dataset.theme);
  nameTheme();
});
nameTheme();

if (isLocked()) {
  door.show();
  look();
} else enter();
