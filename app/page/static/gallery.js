// All cards, newest first; the way from one to another by keyboard; what is there when none is.

import { announce, busy, byId, el } from "./dom.js";
import { Card } from "./card.js";
import { isOpen } from "./words.js";

export class Gallery {
  #archive;
  #actions;
  #pictures;
  #viewer;
  #cards = new Map();
  #grid = byId("grid");

  constructor({ archive, actions, pictures, viewer }) {
    this.#archive = archive;
    this.#actions = actions;
    this.#pictures = pictures;
    this.#viewer = viewer;
    archive.addEventListener("change", ({ detail }) => this.#change(detail));
    archive.addEventListener("removal", ({ detail }) => this.#remove(detail.id));
    this.#grid.addEventListener("keydown", (event) => this.#key(event));
    byId("older").addEventListener("click", () => this.#older());
  }

  /** Once the jobs are read: whether there are none, and whether there are more. */
  settle() {
    byId("empty").hidden = this.#cards.size > 0;
    byId("older").hidden = !this.#archive.next;
  }

  focus(id) {
    this.#cards.get(id)?.button.focus();
  }

  #change({ id, isNew, hasEnded }) {
    const job = this.#archive.get(id);
    let card = this.#cards.get(id);
    if (!card) card = this.#insert(job);
    card.update(job, this.#archive.previews(id));
    if (hasEnded) announce(`${job.request.prompt}: ${ENDS[job.state]}`);
    if (isNew) this.settle();
  }

  #insert(job) {
    const card = new Card(job, this.#pictures, {
      open: ({ job: opened }) => this.#viewer.open(opened.id),
      cancel: (running) => this.#actions.cancel(running),
      retry: (ended) => this.#actions.retry(ended, "same"),
    });
    this.#cards.set(job.id, card);
    const after = [...this.#grid.children].find((each) => each.dataset.id < job.id);
    this.#grid.insertBefore(card.element, after ?? null);
    return card;
  }

  #remove(id) {
    const card = this.#cards.get(id);
    if (!card) return;
    const hadFocus = card.element.contains(document.activeElement);
    const neighbour = card.element.nextElementSibling ?? card.element.previousElementSibling;
    this.#pictures.forget(card.job);
    card.element.remove();
    this.#cards.delete(id);
    this.settle();
    if (hadFocus) (neighbour?.querySelector(".print") ?? byId("prompt")).focus();
  }

  async #older() {
    const last = this.#grid.lastElementChild;
    await busy(byId("older"), () => this.#archive.older().catch(() => {}));
    this.settle();
    last?.nextElementSibling?.querySelector(".print").focus();
  }

  #key(event) {
    const card = event.target.closest(".card");
    if (!card || event.altKey || event.ctrlKey || event.metaKey) return;
    if (event.key === "Escape") byId("prompt").focus();
    else if (event.key === "Delete") this.#delete(card.dataset.id);
    else {
      const target = this.#neighbour(card, event.key);
      if (!target) return;
      target.querySelector(".print").focus();
    }
    event.preventDefault();
  }

  #delete(id) {
    const job = this.#archive.get(id);
    if (isOpen(job)) this.#actions.cancel(job);
    else this.#viewer.open(id, { asksToDelete: true });
  }

  #neighbour(card, key) {
    const cards = [...this.#grid.children];
    const row = cards.filter((each) => each.offsetTop === cards[0].offsetTop).length;
    const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -row, ArrowDown: row };
    if (key === "Home") return cards[0];
    if (key === "End") return cards.at(-1);
    return key in steps ? cards[cards.indexOf(card) + steps[key]] : undefined;
  }
}

const ENDS = { succeeded: "done", failed: "failed", cancelled: "cancelled" };

/** Prompts to begin with, as buttons. */
export function examples(prompts, onpick) {
  byId("examples").replaceChildren(
    ...prompts.map((prompt) =>
      el("li", {}, el("button", { type: "button", onclick: () => onpick(prompt) }, prompt)),
    ),
  );
}
