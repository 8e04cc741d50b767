// Whether the service is there, who works, and how much waits.

import { byId, el, say } from "./dom.js";
import { Problem, Unreachable } from "./api.js";
import { count } from "./words.js";

const SIXTY = 60; // rows: what a picture of 30 steps with guidance costs

/** The state of the service: looked at, shown, and told. */
export class Status {
  workers = [];
  #api;
  #models = null; // until they are told

  constructor(api) {
    this.#api = api;
  }

  async look() {
    const { workers } = await this.#api.get("/readyz");
    this.workers = workers;
    this.#outage("");
    this.show();
  }

  /** Shows why a look came to nothing. */
  fail(error) {
    if (error instanceof Unreachable) {
      this.#say("down", "Not reachable");
      this.#outage(
        "The service cannot be reached. What was accepted goes on without this page; it comes back by itself.",
      );
    } else if (error instanceof Problem && error.status !== 401) {
      this.#say("down", "Cannot work");
      this.#outage(`${error.title}: ${error.message} This page looks again by itself.`);
    } else if (!(error instanceof Problem || error.name === "AbortError")) throw error;
  }

  /** What each model's queue holds is told to those who may know; the rest to all. */
  show(models = this.#models) {
    this.#models = models;
    const waiting = models?.reduce((sum, model) => sum + model.queued, 0);
    const { length } = this.workers;
    const work = length ? count(length, "worker") : "No worker";
    this.#say(
      length ? "well" : "idle",
      waiting ? `${work}, ${count(waiting, "job")} waiting` : work,
    );
    byId("workers").replaceChildren(...this.#details(waiting));
  }

  #say(state, text) {
    byId("state").dataset.state = state;
    say(byId("state-text"), text);
  }

  #outage(text) {
    byId("outage").hidden = !text;
    say(byId("outage"), text);
  }

  #queue(waiting) {
    const idle = this.#models.filter((model) => !model.live_workers && this.workers.length);
    return [
      el("h2", {}, "Queue"),
      el("p", {}, waiting ? `${count(waiting, "job")} waiting.` : "Nothing waits."),
      ...idle.map((model) => el("p", { className: "note" }, `Nobody draws ${model.id} now.`)),
    ];
  }

  #details(waiting) {
    const lines = this.workers.map((worker) =>
      el(
        "li",
        {},
        el("strong", {}, worker.name),
        ` draws ${worker.model} on ${worker.device}${speed(worker)}`,
      ),
    );
    const code = (text) => el("code", {}, text);
    const hint = [
      "Pictures wait until a worker starts: ",
      code("make run"),
      " starts one with the service, ",
      code("darkroom worker"),
      " one by itself.",
    ];
    return [
      el("h2", {}, "Workers"),
      lines.length ? el("ul", {}, ...lines) : el("p", {}, ...hint),
      ...(this.#models ? this.#queue(waiting) : []),
    ];
  }
}

function speed({ row_steps_per_s: rows }) {
  return rows ? `, about ${(SIXTY / rows).toFixed(1)} s for 30 steps` : "";
}
