// Which jobs are followed by their events. A browser has six connections to a host for all its
// tabs, so only a few are, and none while nobody looks; the others are seen in the list.

import { Problem } from "./api.js";
import { follow } from "./events.js";
import { isOpen } from "./words.js";

const MOST = 3;
const GONE = [404, 410];

export class Watcher {
  #api;
  #archive;
  #streams = new Map(); // by job: what ends its stream
  #seen = new Map(); // by job: its last event
  #refused = new Set(); // jobs whose events there are not, for whatever reason

  constructor(api, archive) {
    this.#api = api;
    this.#archive = archive;
    archive.addEventListener("change", () => this.look());
    archive.addEventListener("removal", ({ detail }) => this.#drop(detail.id));
    document.addEventListener("visibilitychange", () => this.look());
  }

  isFollowed = (id) => this.#streams.has(id);

  /** Whether there is an open job whose events nobody reads. */
  get leavesOut() {
    return this.#archive.jobs.some((job) => isOpen(job) && !this.isFollowed(job.id));
  }

  /** Follows the jobs that end first. */
  look() {
    if (document.hidden) {
      for (const id of [...this.#streams.keys()]) this.#drop(id);
      return;
    }
    for (const job of this.#archive.jobs.filter(isOpen).sort(nearestFirst)) {
      if (this.#streams.size >= MOST) return;
      if (!this.isFollowed(job.id) && !this.#refused.has(job.id)) this.#follow(job);
    }
  }

  stop() {
    for (const id of [...this.#streams.keys()]) this.#drop(id);
    this.#seen.clear();
  }

  async #follow(job) {
    const end = new AbortController();
    this.#streams.set(job.id, end);
    const seen = this.#seen.get(job.id) ?? { id: "" };
    this.#seen.set(job.id, seen);
    try {
      for await (const event of follow(this.#api, job.links.events, seen, end.signal)) {
        if (end.signal.aborted) return;
        this.#archive.apply(job.id, event);
      }
      if (!end.signal.aborted && isOpen(this.#archive.get(job.id) ?? {})) {
        await this.#archive.reload(job.id);
      }
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      if (GONE.includes(error.status)) this.#archive.remove(job.id);
      else this.#refused.add(job.id);
    } finally {
      if (this.#streams.get(job.id) === end) this.#drop(job.id);
      this.look();
    }
  }

  #drop(id) {
    this.#streams.get(id)?.abort();
    this.#streams.delete(id);
    if (!isOpen(this.#archive.get(id) ?? {})) this.#seen.delete(id);
  }
}

function nearestFirst(a, b) {
  const isRunning = (job) => job.state === "running";
  return isRunning(b) - isRunning(a) || (a.id < b.id ? -1 : 1);
}
