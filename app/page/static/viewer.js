// One picture, large, with all that it came from and all that can be done with it.

import { busy, byId, el, say } from "./dom.js";
import { copy } from "./actions.js";
import { curl, python, requestFor } from "./snippets.js";
import { facts } from "./facts.js";
import { fileName, isOpen, share, standing } from "./words.js";

export class Viewer {
  #archive;
  #actions;
  #pictures;
  #on;
  #dialog = byId("viewer");
  #id = null;
  #n = 0; // which picture of the job
  #shape = null; // of what is shown: it is built anew only where that changes
  #asksToDelete = false;

  /** `on` is what the page does for it: `reuse` a request, `closed`, and `needsKey`. */
  constructor({ archive, actions, pictures, on }) {
    this.#archive = archive;
    this.#actions = actions;
    this.#pictures = pictures;
    this.#on = on;
    archive.addEventListener("change", ({ detail: { id, isNew } }) => {
      if (this.#id && (id === this.#id || isNew)) this.#draw();
    });
    archive.addEventListener("removal", ({ detail }) => detail.id === this.#id && this.#leave());
    this.#dialog.addEventListener("keydown", (event) => this.#key(event));
    this.#dialog.addEventListener("click", (event) => {
      if (event.target === this.#dialog) this.#dialog.close(); // beside it
    });
    this.#dialog.addEventListener("close", () => this.#close());
  }

  open(id, { asksToDelete = false } = {}) {
    this.#turnTo(id, 0, asksToDelete);
    this.#dialog.showModal();
    if (asksToDelete) this.#dialog.querySelector(".danger")?.focus();
  }

  #turnTo(id, n, asksToDelete = false) {
    [this.#id, this.#n, this.#asksToDelete] = [id, n, asksToDelete];
    this.#shape = null;
    this.#draw();
  }

  #close() {
    if (this.#dialog.open) return; // again, before this was told
    const id = this.#id;
    this.#id = null;
    this.#dialog.replaceChildren();
    this.#on.closed(id);
  }

  /** Closes, and leaves it to others where to go on. */
  #leave() {
    this.#id = null;
    this.#dialog.close();
  }

  #draw() {
    const job = this.#archive.get(this.#id);
    const ends = [-1, 1].map((step) => this.#beside(step) === null);
    const shape = [job.id, this.#n, job.state, this.#asksToDelete, ...ends].join();
    if (this.#shape !== shape) {
      const { name } = document.activeElement.dataset;
      this.#shape = shape;
      this.#build(job);
      if (this.#dialog.open) this.#focus(name);
    }
    say(this.#dialog.querySelector(".line"), standing(job));
    this.#dialog.querySelector(".easel").style.setProperty("--share", share(job));
    this.#picture(job);
  }

  /** Where it was before all was built anew, if that is still there. */
  #focus(name) {
    const same = name && this.#dialog.querySelector(`[data-name="${name}"]:not([hidden])`);
    (same || this.#dialog.querySelector(".close")).focus();
  }

  async #picture(job) {
    const image = this.#dialog.querySelector(".easel img");
    const preview = this.#archive.previews(job.id)[this.#n];
    const path = job.images[this.#n]?.url;
    const shape = this.#shape;
    const url = path ? await this.#pictures.url(path).catch(() => null) : preview;
    if (this.#shape !== shape) return;
    image.hidden = !url;
    if (!url) return;
    image.src = url;
    image.className = path ? "fixed" : "latent";
    const save = this.#dialog.querySelector("a[download]");
    if (save) save.href = url;
  }

  #build(job) {
    const { request } = job;
    const image = el("img", { alt: `Drawn from the prompt: ${request.prompt}`, hidden: true });
    this.#dialog.replaceChildren(
      el(
        "div",
        { className: "easel", "data-state": job.state },
        image,
        this.#arrow("previous", "‹", -1),
        this.#arrow("next", "›", 1),
      ),
      el(
        "div",
        { className: "story" },
        button("close", "×", () => this.#dialog.close(), {
          className: "close",
          "aria-label": "Close",
        }),
        el("h2", { id: "viewer-title" }, request.prompt),
        el("p", { className: "line", role: "status" }),
        job.error ? el("p", { className: "fault" }, job.error.detail) : null,
        ...job.warnings.map((warning) => el("p", { className: "note" }, warning)),
        this.#buttons(job),
        el(
          "dl",
          {},
          ...facts(job, this.#n).flatMap(([name, value]) => [
            el("dt", {}, name),
            el("dd", {}, value),
          ]),
        ),
      ),
    );
  }

  #arrow(name, sign, step) {
    const isThere = this.#beside(step) !== null;
    const labels = { previous: "The picture before", next: "The next picture" };
    return button(name, sign, () => this.#go(step), {
      className: `arrow ${name}`,
      "aria-label": labels[name],
      hidden: !isThere,
    });
  }

  #buttons(job) {
    const { seed, images } = job.request;
    const image = job.images[this.#n] ?? { seed: seed + this.#n };
    const body = requestFor(job, image);
    const name = fileName(job, image);
    const again = async (which) => {
      const made = await this.#actions.retry(job, which);
      if (made) this.#turnTo(made.id, 0);
    };
    return el(
      "div",
      { className: "deeds" },
      job.images.length
        ? el("a", { className: "primary", download: name, "data-name": "save" }, "Save")
        : null,
      isOpen(job)
        ? button("cancel", "Cancel", () => this.#actions.cancel(job), { className: "primary" })
        : null,
      ["failed", "cancelled"].includes(job.state)
        ? button("retry", "Retry", () => again("same"), { className: "primary" })
        : null,
      button("reuse", "Use these settings", () => {
        this.#leave();
        this.#on.reuse(job, images > 1 ? null : image.seed);
      }),
      isOpen(job) ? null : button("another", "Another seed", () => again("new")),
      button("curl", "Copy as curl", () =>
        copy(curl(body, name, this.#on.needsKey), "The curl command"),
      ),
      button("python", "Copy as Python", () =>
        copy(python(body, name, this.#on.needsKey), "The Python code"),
      ),
      isOpen(job) ? null : this.#deleteButton(job),
    );
  }

  #deleteButton(job) {
    if (!this.#asksToDelete) {
      return button(
        "delete",
        "Delete",
        () => {
          this.#asksToDelete = true;
          this.#draw();
        },
        { className: "last" },
      );
    }
    const words =
      job.images.length > 1 ? `Delete all ${job.images.length} for good` : "Delete for good";
    return button("delete", words, () => this.#actions.delete(job), { className: "last danger" });
  }

  #key(event) {
    if (event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
    const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -1, ArrowDown: 1 }[event.key];
    if (step) this.#go(step);
    else if (event.key === "Home") this.#turnTo(this.#archive.jobs[0].id, 0);
    else if (event.key === "End") this.#turnTo(this.#archive.jobs.at(-1).id, 0);
    else if (event.key === "Delete") this.#delete();
    else return;
    event.preventDefault();
  }

  #delete() {
    const job = this.#archive.get(this.#id);
    if (isOpen(job)) return this.#actions.cancel(job);
    this.#asksToDelete = true;
    this.#draw();
    return this.#dialog.querySelector(".danger").focus();
  }

  #go(step) {
    const beside = this.#beside(step);
    if (beside) this.#turnTo(...beside);
  }

  /** The picture before or after this one, over the bounds of the jobs; null at either end. */
  #beside(step) {
    const { jobs } = this.#archive;
    const at = jobs.findIndex((job) => job.id === this.#id);
    const n = this.#n + step;
    if (n >= 0 && n < jobs[at].request.images) return [this.#id, n];
    const other = jobs[at + step];
    return other ? [other.id, step > 0 ? 0 : other.request.images - 1] : null;
  }
}

function button(name, text, onclick, properties = {}) {
  const made = el("button", { type: "button", "data-name": name, ...properties }, text);
  made.addEventListener("click", () => busy(made, async () => onclick()));
  return made;
}
