// What is wrong with the form: said at the field, where the service names one.

import { byId, say } from "./dom.js";
import { Problem } from "./api.js";

export class Faults {
  #form;

  constructor(form) {
    this.#form = form;
  }

  /** Looks for what can be told without the service. Whether there is none. */
  check(isLocked) {
    this.clear();
    const { prompt } = this.#form.elements;
    if (!prompt.value.trim()) this.#say("prompt", "Write what to draw: a word or two will do.");
    for (const input of this.#form.querySelectorAll('input[type="number"]')) {
      if (input.closest("[hidden]") || (input.name === "seed" && !isLocked)) continue;
      if (!input.checkValidity()) this.#say(input.name, input.validationMessage);
    }
    return !this.#reveal();
  }

  /** Says what the service has against it, or that it is away. */
  explain(error) {
    if (error.status === 401) return; // the door is shown
    const known = (error.faults ?? []).filter(({ field }) => byId(`${field}-fault`));
    for (const { field, message } of known) this.#say(field, message);
    if (this.#reveal()) return;
    byId("fault").hidden = false;
    say(byId("fault"), error instanceof Problem ? inWords(error) : AWAY);
  }

  clear(name) {
    const places = name ? [byId(`${name}-fault`)] : this.#form.querySelectorAll(".fault");
    for (const place of places) {
      if (!place) continue;
      place.hidden = true;
      this.#form.elements[place.id.replace("-fault", "")]?.removeAttribute?.("aria-invalid");
    }
  }

  #say(name, message) {
    const place = byId(`${name}-fault`);
    place.hidden = false;
    say(place, message);
    this.#form.elements[name]?.setAttribute("aria-invalid", "true");
  }

  /** Goes to the first field at fault, which may be folded away; undefined where none is. */
  #reveal() {
    const field = this.#form.querySelector('[aria-invalid="true"]');
    field?.closest("details")?.setAttribute("open", "");
    field?.focus();
    return field;
  }
}

const AWAY = "The service cannot be reached. Nothing is lost: press again once it is back.";

function inWords({ message, retryAfterS }) {
  return retryAfterS ? `${message} Try again in ${retryAfterS} s.` : message;
}
