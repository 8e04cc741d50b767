// Asking the service. The key goes into a header of each request and nowhere else.

const KEY = "darkroom.key";
const AWAY = [502, 503, 504];

/** No answer, or none of the service's own. */
export class Unreachable extends Error {}

/** What the service answered instead: a problem document (RFC 9457). */
export class Problem extends Error {
  constructor(status, problem, retryAfter) {
    super(problem.detail || problem.title || `The service answered ${status}.`);
    this.status = status;
    this.code = problem.code ?? "";
    this.title = problem.title ?? "";
    this.faults = problem.errors ?? [];
    this.retryAfterS = Number(retryAfter) || null;
  }
}

/** Tells of `reach` (it came or went) and of `locked` (the key is not, or no longer, known). */
export class Api extends EventTarget {
  isReachable = true;
  #key = sessionStorage.getItem(KEY) ?? "";

  get hasKey() {
    return this.#key !== "";
  }

  keep(key) {
    this.#key = key;
    if (key) sessionStorage.setItem(KEY, key);
    else sessionStorage.removeItem(KEY);
  }

  /** The answer, if it is a success. (`no-store` would make a POST ask for a fresh picture.) */
  async ask(path, { method = "GET", json, headers = {}, signal, cache } = {}) {
    const sent = { ...headers };
    const key = this.#key;
    if (key) sent.Authorization = `Bearer ${key}`;
    if (json !== undefined) sent["Content-Type"] = "application/json";
    const body = json === undefined ? undefined : JSON.stringify(json);
    let answer;
    try {
      answer = await fetch(path, { method, headers: sent, body, signal, cache });
    } catch (error) {
      if (signal?.aborted) throw error;
      throw this.#away();
    }
    this.#require(key);
    if (AWAY.includes(answer.status) && !isProblem(answer)) throw this.#away();
    this.#reaches(true);
    if (answer.ok) return answer;
    const problem = isProblem(answer) ? await answer.json() : {};
    if (answer.status === 401 && key === this.#key) this.dispatchEvent(new Event("locked"));
    throw new Problem(answer.status, problem, answer.headers.get("Retry-After"));
  }

  async get(path) {
    const key = this.#key;
    const content = await (await this.ask(path, { cache: "no-store" })).json();
    this.#require(key);
    return content;
  }

  /** Bytes that never change; with a key they are not put where another key's page might look. */
  async picture(path) {
    return (await this.ask(path, { cache: this.hasKey ? "no-store" : "default" })).blob();
  }

  /** What was asked with another key is nothing to this one. */
  #require(key) {
    if (key !== this.#key) throw new DOMException("The key has changed.", "AbortError");
  }

  #away() {
    this.#reaches(false);
    return new Unreachable("The service cannot be reached.");
  }

  #reaches(isReachable) {
    if (this.isReachable === isReachable) return;
    this.isReachable = isReachable;
    this.dispatchEvent(new Event("reach"));
  }
}

function isProblem(answer) {
  return (answer.headers.get("Content-Type") ?? "").startsWith("application/problem+json");
}
