// What one can do to a job. Each says how it went; none throws.

import { announce, toast } from "./dom.js";
import { Problem } from "./api.js";
import { isOpen } from "./words.js";

export class Actions {
  #api;
  #archive;

  constructor(api, archive) {
    this.#api = api;
    this.#archive = archive;
  }

  cancel(job) {
    return this.#try(async () => {
      const answer = await this.#api.ask(`/jobs/${job.id}/cancel`, { method: "POST" });
      this.#archive.put(await answer.json());
      toast("Cancelled.");
    }, job);
  }

  /** The same as a new job, with the same seed or a new one. Returns the job, if there is one. */
  retry(job, seed) {
    return this.#try(async () => {
      const answer = await this.#api.ask(job.links.retry, { method: "POST", json: { seed } });
      const again = await answer.json();
      this.#archive.put(again);
      announce("Asked for again.");
      return again;
    }, job);
  }

  delete(job) {
    return this.#try(async () => {
      await this.#api.ask(`/jobs/${job.id}`, { method: "DELETE" });
      this.#archive.remove(job.id);
      toast("Deleted.");
      return true;
    }, job);
  }

  async #try(work, job) {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof Problem)) toast("The service cannot be reached. Nothing was changed.");
      else if (error.status === 404 || error.status === 410) this.#archive.remove(job.id);
      else if (error.code === "job_ended" && isOpen(job)) await this.#archive.reload(job.id);
      else toast(error.message);
      return undefined;
    }
  }
}

/** Copies, also where the page has no secure context, as on http:// in a local network. */
export async function copy(text, what) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    if (!copyBySelection(text)) return toast("The browser does not let the page copy.");
  }
  return toast(`${what} is copied.`);
}

function copyBySelection(text) {
  const area = document.createElement("textarea");
  area.value = text;
  area.className = "unseen";
  (document.querySelector("dialog[open]") ?? document.body).append(area);
  const focused = document.activeElement;
  area.select();
  const hasCopied = document.execCommand("copy");
  area.remove();
  focused?.focus();
  return hasCopied;
}
