// The form: what is asked for. It is kept over a reload, and never lost to an error.

import { announce, busy, byId, el } from "./dom.js";
import { Faults } from "./faults.js";
import { sizesFor } from "./sizes.js";

const DRAFT = "darkroom.draft";
const MOST_SEED = Number(byId("seed").max);
const CUSTOM = "custom";

export class Composer {
  #api;
  #archive;
  #previews;
  #form = byId("composer");
  #fields = this.#form.elements;
  #faults = new Faults(this.#form);
  #models = [];
  #abilities = "";
  #sent = null; // the last request that got no answer, and its idempotency key

  constructor(api, archive, previews) {
    this.#api = api;
    this.#archive = archive;
    this.#previews = previews;
    this.#restore();
    this.#form.addEventListener("input", (event) => this.#input(event.target));
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.submit();
    });
    this.#form.addEventListener("keydown", (event) => this.#key(event));
    byId("dice").addEventListener("click", () => this.#roll());
    byId("lock").addEventListener("click", () => this.#lock(!this.#isLocked));
    this.#fields.model.addEventListener("change", () => this.#fit());
    this.#fields.sampler.addEventListener("change", () => this.#fit());
  }

  get #isLocked() {
    return byId("lock").getAttribute("aria-pressed") === "true";
  }

  get #model() {
    const named = this.#models.find((model) => model.id === this.#fields.model.value);
    return named ?? this.#models.find((model) => model.default) ?? this.#models[0];
  }

  get modelId() {
    return this.#model?.id ?? "";
  }

  /** What can be asked for depends on the models that there are. */
  offer(models) {
    const abilities = JSON.stringify(models.map(({ seen_at, queued, live_workers, ...rest }) => rest));
    if (abilities === this.#abilities) return; // to build it anew would take the focus away
    this.#abilities = abilities;
    const had = this.#fields.model.value || this.#draft().model;
    this.#models = models;
    this.#fields.model.replaceChildren(
      ...models.map((model) => el("option", { value: model.id }, model.id)),
    );
    const chosen = models.find((model) => model.id === had) ?? models.find((model) => model.default);
    if (chosen) this.#fields.model.value = chosen.id;
    byId("model-field").hidden = models.length < 2;
    this.#fit();
  }

  /** Fills the form from a job's request. */
  reuse({ request }, seed) {
    for (const name of ["prompt", "negative_prompt", "sampler", "steps", "guidance", "images"]) {
      this.#fields[name].value = request[name];
    }
    if (this.#models.some((model) => model.id === request.model)) this.#fields.model.value = request.model;
    this.#fields.seed.value = seed ?? request.seed;
    this.#lock(true);
    this.#choose(request.resized_width ?? request.width, request.resized_height ?? request.height);
    this.#fit();
    this.#input(this.#fields.prompt);
    this.#fields.prompt.focus();
  }

  /** Everything as it was in the beginning. */
  clear() {
    this.#form.reset();
    this.#faults.clear();
    this.#lock(false);
    this.#fit();
    sessionStorage.removeItem(DRAFT);
  }

  write(prompt) {
    this.#fields.prompt.value = prompt;
    this.#input(this.#fields.prompt);
  }

  submit() {
    return busy(byId("develop"), () => this.#submit());
  }

  async #submit() {
    if (!this.#faults.check(this.#isLocked)) return;
    const body = this.#body();
    const json = JSON.stringify(body);
    if (this.#sent?.json !== json) this.#sent = { json, key: newKey() };
    try {
      const headers = { "Idempotency-Key": this.#sent.key };
      const job = await (await this.#api.ask("/generate", { method: "POST", json: body, headers })).json();
      this.#sent = null;
      this.#archive.put(job);
      if (!this.#isLocked) this.#fields.seed.value = job.request.seed;
      this.#save();
      announce(`${job.request.prompt}: accepted`);
      this.#form.dispatchEvent(new CustomEvent("accepted", { detail: job }));
    } catch (error) {
      this.#faults.explain(error);
    }
  }

  #body() {
    const value = (name) => this.#fields[name].value;
    const body = {
      prompt: value("prompt"),
      negative_prompt: value("negative_prompt"),
      steps: Number(value("steps")),
      guidance: Number(value("guidance")),
      images: Number(value("images")),
      sampler: value("sampler"),
      previews: this.#previews,
      ...this.#size(),
    };
    if (this.#model) body.model = this.#model.id;
    if (this.#isLocked && value("seed") !== "") body.seed = Number(value("seed"));
    return body;
  }

  #size() {
    const shape = this.#fields.shape?.value;
    if (shape === CUSTOM) {
      return { width: Number(this.#fields.width.value), height: Number(this.#fields.height.value) };
    }
    const size = this.#model && sizesFor(this.#model).find(({ id }) => id === shape);
    return size ? { width: size.width, height: size.height } : {};
  }

  /** Shows the bounds that the model and the sampler set. */
  #fit() {
    const model = this.#model;
    if (!model) return;
    const shape = this.#fields.shape?.value || this.#draft().shape || "square";
    const sizes = sizesFor(model).map((size) => choice(size.id, size.label, size));
    byId("shapes").replaceChildren(...sizes, choice(CUSTOM, "Custom", null));
    this.#fields.shape.value = shape;
    for (const name of ["width", "height"]) {
      const { min_side: min, max_side: max, side_multiple: step } = model;
      Object.assign(this.#fields[name], { min, max, step });
      this.#fields[name].value ||= model[name];
    }
    for (const option of this.#fields.sampler.options) {
      const card = model.samplers[option.value];
      option.disabled = !card || card.refusal !== null;
      option.title = card?.refusal ?? "";
    }
    const most = model.samplers[this.#fields.sampler.value]?.max_steps;
    for (const input of [this.#fields.steps, range("steps")]) if (most) input.max = most;
    this.#reflect();
  }

  #choose(width, height) {
    const size = this.#model && sizesFor(this.#model).find((each) => each.width === width && each.height === height);
    if (this.#fields.shape) this.#fields.shape.value = size?.id ?? CUSTOM;
    this.#fields.width.value = width;
    this.#fields.height.value = height;
  }

  #input(field) {
    const slid = field.dataset.for;
    if (slid) this.#fields[slid].value = field.value;
    if (field.name === "seed") this.#lock(field.value !== "");
    const touched = field.name === "shape" ? ["width", "height"] : [slid ?? field.name];
    touched.forEach((name) => this.#faults.clear(name));
    this.#reflect();
    this.#save();
  }

  /** What follows from other fields. */
  #reflect() {
    for (const name of ["steps", "guidance", "images"]) range(name).value = this.#fields[name].value;
    byId("sides").hidden = this.#fields.shape?.value !== CUSTOM;
  }

  #key(event) {
    if (event.key !== "Enter" || event.shiftKey || event.altKey || event.isComposing) return;
    const isText = event.target.localName === "textarea";
    if (!isText && !event.ctrlKey && !event.metaKey) return; // as every form has it
    event.preventDefault();
    this.submit();
  }

  #roll() {
    const [drawn] = crypto.getRandomValues(new Uint32Array(1));
    this.#fields.seed.value = Math.min(drawn, MOST_SEED - this.#fields.images.valueAsNumber + 1 || MOST_SEED);
    this.#lock(true);
    announce(`Seed ${this.#fields.seed.value}`);
  }

  #lock(isLocked) {
    const lock = byId("lock");
    lock.setAttribute("aria-pressed", String(isLocked));
    this.#faults.clear("seed");
    this.#save();
  }

  #draft() {
    return JSON.parse(sessionStorage.getItem(DRAFT) ?? "{}");
  }

  #save() {
    const draft = Object.fromEntries(new FormData(this.#form));
    sessionStorage.setItem(DRAFT, JSON.stringify({ ...this.#draft(), ...draft, isLocked: this.#isLocked }));
  }

  #restore() {
    const { isLocked, shape, ...draft } = this.#draft();
    for (const [name, value] of Object.entries(draft)) {
      if (this.#fields[name]) this.#fields[name].value = value;
    }
    if (isLocked) byId("lock").setAttribute("aria-pressed", "true");
    this.#reflect();
  }
}

const range = (name) => document.querySelector(`input[data-for="${name}"]`);

function choice(id, label, size) {
  const glyph = el("span", { className: `glyph ${id}`, "aria-hidden": "true" });
  const note = size ? el("span", { className: "pixels" }, `${size.width} × ${size.height}`) : null;
  return el(
    "label",
    {},
    el("input", { type: "radio", name: "shape", value: id }),
    glyph,
    el("span", {}, label),
    note,
  );
}

/** Any text that nobody else has; randomUUID is there in secure contexts only. */
function newKey() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
