// Where keys are needed: asking for one.

import { byId, busy, say } from "./dom.js";
import { Problem } from "./api.js";

export class Door {
  #api;
  #open;

  /** `open` is called once a key is known to fit. */
  constructor(api, open) {
    this.#api = api;
    this.#open = open;
    byId("door-form").addEventListener("submit", (event) => {
      event.preventDefault();
      busy(event.submitter ?? byId("key"), () => this.#try());
    });
    byId("key").addEventListener("input", () => this.#say(""));
  }

  show(reason = "") {
    byId("door").hidden = false;
    byId("room").hidden = true;
    byId("forget").hidden = true;
    this.#say(reason);
    byId("key").value = "";
    byId("key").focus();
  }

  async #try() {
    const key = byId("key").value.trim();
    if (!key) return this.#say("Paste the key here.");
    if (!/^[\x21-\x7e]+$/.test(key)) return this.#say("That is not the form of a key.");
    this.#api.keep(key);
    try {
      await this.#api.ask("/models");
    } catch (error) {
      this.#api.keep("");
      return this.#say(
        error instanceof Problem && error.status !== 401
          ? error.message
          : (FAULTS[error.status] ?? FAULTS.away),
      );
    }
    byId("door").hidden = true;
    byId("key").value = "";
    return this.#open();
  }

  #say(text) {
    const isWrong = text !== "";
    byId("key-fault").hidden = !isWrong;
    say(byId("key-fault"), text);
    if (isWrong) byId("key").setAttribute("aria-invalid", "true");
    else byId("key").removeAttribute("aria-invalid");
  }
}

const FAULTS = {
  401: "There is no such key, or it was revoked. Is it copied whole?",
  away: "The service cannot be reached. Try again in a moment.",
};
