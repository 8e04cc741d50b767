// The jobs that the page knows, newest first. Tells of `change` (a job is new or another) and of
// `removal`; what has become of them is always the service's word.

import { isOpen } from "./words.js";

const PAGE = 24;

export class Archive extends EventTarget {
  next; // where older jobs are found: undefined before the first look, null where there are none
  #api;
  #jobs = new Map();
  #previews = new Map(); // by job: the object URL of each picture's last preview
  #addedAt = new Map();
  #gone = new Set(); // deleted jobs, which a list that was asked for before may still hold

  constructor(api) {
    super();
    this.#api = api;
  }

  /** Newest first: ids begin with the time of their making. */
  get jobs() {
    return [...this.#jobs.values()].sort((a, b) => (a.id < b.id ? 1 : -1));
  }

  get(id) {
    return this.#jobs.get(id);
  }

  previews(id) {
    return this.#previews.get(id) ?? [];
  }

  /** Reads the newest jobs anew. `isFollowed` says of which ones the events know better. */
  async refresh(isFollowed) {
    const asked = performance.now();
    const page = await this.#api.get(`/jobs?limit=${PAGE}`);
    const listed = new Set(page.jobs.map((job) => job.id));
    const oldest = page.next ? (page.jobs.at(-1)?.id ?? "") : "";
    const joinsOn = [...listed].some((id) => this.#jobs.has(id));
    if (this.next === undefined || !joinsOn) this.next = page.next;
    for (const job of page.jobs) if (!isOpen(job) || !isFollowed(job.id)) this.put(job);
    for (const id of [...this.#jobs.keys()]) {
      const isNewer = this.#addedAt.get(id) > asked;
      if (!listed.has(id) && id >= oldest && !isNewer) this.#drop(id);
    }
  }

  async older() {
    const page = await this.#api.get(this.next);
    this.next = page.next;
    for (const job of page.jobs) this.put(job);
    return page.jobs.length;
  }

  async reload(id) {
    this.put(await this.#api.get(`/jobs/${id}`));
  }

  put(job) {
    if (this.#gone.has(job.id)) return;
    const known = this.#jobs.get(job.id);
    if (known && !isOpen(known) && isOpen(job)) return; // an answer that was overtaken
    if (!known) this.#addedAt.set(job.id, performance.now());
    else if (job.queue_position === null) job.queue_position = known.queue_position;
    this.#jobs.set(job.id, job);
    this.#tell("change", job.id, {
      isNew: !known,
      hasEnded: known && isOpen(known) && !isOpen(job),
    });
  }

  /** Changes a job by one of its events. */
  apply(id, { name, data }) {
    const job = this.#jobs.get(id);
    if (!job) return;
    if (name === "end" || name === "snapshot") return this.put(data);
    if (name === "preview") this.#show(id, data);
    else if (name === "queued")
      Object.assign(job, data, { state: data.queue_position ? "queued" : job.state });
    else if (name === "started") Object.assign(job, { state: "running", worker: data.worker });
    else if (name === "requeued")
      Object.assign(job, { state: "queued", queue_position: null, worker: null });
    else if (name === "progress") {
      const { step, steps, estimated_s } = data;
      Object.assign(job, { state: "running", progress: { step, steps }, estimated_s });
    }
    this.#tell("change", id, { isNew: false });
  }

  /** For good. */
  remove(id) {
    this.#gone.add(id);
    this.#drop(id);
  }

  #drop(id) {
    if (!this.#jobs.delete(id)) return;
    this.previews(id).forEach((url) => url && URL.revokeObjectURL(url));
    this.#previews.delete(id);
    this.#addedAt.delete(id);
    this.#tell("removal", id);
  }

  clear() {
    for (const id of [...this.#jobs.keys()]) this.#drop(id);
    this.next = undefined;
  }

  #show(id, { image, data, media_type }) {
    const bytes = Uint8Array.from(atob(data), (character) => character.charCodeAt(0));
    const urls = this.#previews.get(id) ?? [];
    this.#previews.set(id, urls);
    if (urls[image]) URL.revokeObjectURL(urls[image]);
    urls[image] = URL.createObjectURL(new Blob([bytes], { type: media_type }));
  }

  #tell(name, id, detail = {}) {
    this.dispatchEvent(new CustomEvent(name, { detail: { id, ...detail } }));
  }
}
