// The seed: a new one for each picture, unless it is kept.

import { announce, byId } from "./dom.js";

export class Seed {
  #field = byId("seed");
  #lock = byId("lock");

  /** `images` is the field of how many pictures are asked for; `changed` is called on a change. */
  constructor(images, changed) {
    this.#field.addEventListener("input", () => this.keep(this.#field.value !== ""));
    this.#lock.addEventListener("click", () => {
      this.keep(!this.isKept);
      changed();
    });
    byId("dice").addEventListener("click", () => {
      this.#roll(images.valueAsNumber || 1);
      changed();
    });
  }

  get isKept() {
    return this.#lock.getAttribute("aria-pressed") === "true";
  }

  /** What to ask for; undefined where the service is to draw one. */
  get value() {
    return this.isKept && this.#field.value !== "" ? Number(this.#field.value) : undefined;
  }

  keep(isKept) {
    this.#lock.setAttribute("aria-pressed", String(isKept));
  }

  /** Shows the one that was drawn, to be kept if the picture is liked. */
  show(seed) {
    this.#field.value = seed;
  }

  /** The last picture's seed must exist as well. */
  #roll(images) {
    const [drawn] = crypto.getRandomValues(new Uint32Array(1));
    this.show(Math.min(drawn, Number(this.#field.max) - images + 1));
    this.keep(true);
    announce(`Seed ${this.#field.value}`);
  }
}
