// Pictures as object URLs: fetched with the key, a few at a time, and let go with their job.

const AT_A_TIME = 3;

export class Pictures {
  #api;
  #urls = new Map(); // by path: a promise of the object URL
  #waiting = [];
  #running = 0;

  constructor(api) {
    this.#api = api;
  }

  /** The object URL of what lies at `path`. */
  url(path) {
    if (!this.#urls.has(path)) {
      const url = this.#turn(async () => URL.createObjectURL(await this.#api.picture(path)));
      this.#urls.set(path, url);
      url.catch(() => this.#urls.delete(path)); // the next one who asks tries again
    }
    return this.#urls.get(path);
  }

  forget(job) {
    for (const image of job.images) {
      this.#urls.get(image.url)?.then(
        (url) => URL.revokeObjectURL(url),
        () => {},
      );
      this.#urls.delete(image.url);
    }
  }

  async #turn(work) {
    if (this.#running >= AT_A_TIME) await new Promise((resolve) => this.#waiting.push(resolve));
    this.#running += 1;
    try {
      return await work();
    } finally {
      this.#running -= 1;
      this.#waiting.shift()?.();
    }
  }
}
