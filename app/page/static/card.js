// A job in the gallery: its sheet of paper, and what is said of it.

import { busy, el, say } from "./dom.js";
import { count, isOpen, share, standing } from "./words.js";

export class Card {
  /** `on` is what the gallery does for it: `open`, `cancel`, `retry`. */
  constructor(job, pictures, on) {
    this.job = job;
    this.#pictures = pictures;
    this.#cells = Array.from({ length: job.request.images }, () =>
      el("span", { className: "cell" }),
    );
    this.#bar = el("span", { className: "bar", "aria-hidden": "true" });
    this.#sheet = el(
      "span",
      { className: `sheet of-${columns(job.request.images)}` },
      ...this.#cells,
    );
    this.button = el(
      "button",
      { type: "button", className: "print", onclick: () => on.open(this) },
      this.#sheet,
      this.#bar,
    );
    this.#line = el("p", { className: "line" });
    this.#act = el("button", { type: "button", className: "act", onclick: () => this.#do(on) });
    this.element = el(
      "li",
      { className: "card", "data-id": job.id },
      this.button,
      el("p", { className: "caption" }, job.request.prompt),
      el("div", { className: "foot" }, this.#line, this.#act),
    );
  }

  #pictures;
  #cells;
  #bar;
  #sheet;
  #line;
  #act;
  #shown = []; // by picture: what is in its cell

  update(job, previews) {
    this.job = job;
    this.element.dataset.state = job.state;
    this.button.style.setProperty("--share", share(job));
    this.#line.title = job.error?.detail ?? "";
    say(this.#line, standing(job));
    this.button.setAttribute("aria-label", label(job));
    this.#act.hidden = job.state === "succeeded";
    say(this.#act, isOpen(job) ? "Cancel" : "Retry");
    this.#act.setAttribute("aria-label", `${this.#act.textContent}: ${job.request.prompt}`);
    if (job.state === "succeeded") this.#develop(job);
    else previews.forEach((url, n) => this.#put(n, url));
  }

  async #do(on) {
    await busy(this.#act, () => (isOpen(this.job) ? on.cancel(this.job) : on.retry(this.job)));
  }

  #develop(job) {
    job.images.forEach(async ({ url }, n) => {
      try {
        this.#put(n, await this.#pictures.url(url), true);
      } catch {
        this.#cells[n].dataset.lost = "The picture is not there any more";
      }
    });
  }

  #put(n, url, isFinal = false) {
    if (!url || this.#shown[n] === url) return;
    this.#shown[n] = url;
    delete this.#cells[n].dataset.lost;
    const image = this.#cells[n].firstChild ?? el("img", { alt: "", draggable: false });
    image.src = url;
    image.className = isFinal ? "fixed" : "latent";
    if (!image.parentNode) this.#cells[n].append(image);
  }
}

function columns(images) {
  return images === 1 ? 1 : images <= 4 ? 2 : images <= 9 ? 3 : 4;
}

function label(job) {
  const pictures = job.request.images > 1 ? `, ${count(job.request.images, "picture")}` : "";
  return `${job.request.prompt}${pictures}: ${standing(job)}`;
}
