// The form: what is asked for. It is kept over a reload, and never lost to an error.

import { announce, busy, byId, el, toast } from "./dom.js";
import { Faults } from "./faults.js";
import { Seed } from "./seed.js";
import { Sizes } from "./sizes.js";

const DRAFT = "darkroom.draft";
const SLIDERS = ["steps", "guidance", "images"];

export class Composer {
  #api;
  #archive;
  #previews;
  #form = byId("composer");
  #fields = this.#form.elements;
  #faults = new Faults(this.#form);
  #sizes = new Sizes(this.#form);
  #seed = new Seed(this.#fields.images, () => this.#input(this.#fields.seed));
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
    this.#fields.model.addEventListener("change", () => this.#fit());
    this.#fields.sampler.addEventListener("change", () => this.#fit());
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
    const abilities = JSON.stringify(
      models.map(({ seen_at, queued, live_workers, ...rest }) => rest),
    );
    if (abilities === this.#abilities) return; // to build it anew would take the focus away
    this.#abilities = abilities;
    const had = this.#fields.model.value || this.#draft().model;
    this.#models = models;
    this.#fields.model.replaceChildren(
      ...models.map((model) => el("option", { value: model.id }, model.id)),
    );
    const chosen =
      models.find((model) => model.id === had) ?? models.find((model) => model.default);
    if (chosen) this.#fields.model.value = chosen.id;
    byId("model-field").hidden = models.length < 2;
    this.#fit();
  }

  /** Fills the form from a job's request. */
  reuse({ request, approximations }, seed) {
    for (const name of ["prompt", "negative_prompt", "sampler", "steps", "guidance", "images"]) {
      this.#fields[name].value = request[name];
    }
    if (this.#models.some((model) => model.id === request.model))
      this.#fields.model.value = request.model;
    this.#seed.show(seed ?? request.seed);
    this.#seed.keep(true);
    this.#sizes.choose(
      request.resized_width ?? request.width,
      request.resized_height ?? request.height,
    );
    this.#fit();
    this.#input(this.#fields.prompt);
    this.#fields.prompt.focus();
    if (approximations.includes("guidance_interval"))
      toast("The form has no part of the steps for guidance: it is for all of them here.");
  }

  /** Everything as it was in the beginning. */
  clear() {
    this.#form.reset();
    this.#faults.clear();
    this.#seed.keep(false);
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
    if (!this.#faults.check(this.#seed.isKept)) return;
    const body = this.#body();
    const json = JSON.stringify(body);
    if (this.#sent?.json !== json) this.#sent = { json, key: newKey() };
    try {
      const headers = { "Idempotency-Key": this.#sent.key };
      const job = await (
        await this.#api.ask("/generate", { method: "POST", json: body, headers })
      ).json();
      this.#sent = null;
      this.#archive.put(job);
      if (!this.#seed.isKept) this.#seed.show(job.request.seed);
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
      model: this.#model?.id,
      seed: this.#seed.value,
      ...this.#sizes.value,
    };
    return body; // what is undefined is left out of JSON
  }

  /** Shows the bounds that the model and the sampler set. */
  #fit() {
    const model = this.#model;
    if (!model) return;
    this.#sizes.offer(model, this.#draft().shape);
    for (const option of this.#fields.sampler.options) {
      const card = model.samplers[option.value];
      option.disabled = !card || card.refusal !== null;
      option.title = card?.refusal ?? "";
    }
    const most = model.samplers[this.#fields.sampler.value]?.max_steps;
    for (const input of [this.#fields.steps, range("steps")]) if (most) input.max = most;
    this.#reflect();
  }

  #input(field) {
    const slid = field.dataset.for;
    if (slid) this.#fields[slid].value = field.value;
    const touched = field.name === "shape" ? ["width", "height"] : [slid ?? field.name];
    touched.forEach((name) => this.#faults.clear(name));
    this.#reflect();
    this.#save();
  }

  /** What follows from other fields. */
  #reflect() {
    for (const name of SLIDERS) range(name).value = this.#fields[name].value;
    this.#sizes.reflect();
  }

  #key(event) {
    if (event.key !== "Enter" || event.shiftKey || event.altKey || event.isComposing) return;
    const isText = event.target.localName === "textarea";
    if (!isText && !event.ctrlKey && !event.metaKey) return; // as every form has it
    event.preventDefault();
    this.submit();
  }

  #draft() {
    return JSON.parse(sessionStorage.getItem(DRAFT) ?? "{}");
  }

  #save() {
    const draft = Object.fromEntries(new FormData(this.#form));
    sessionStorage.setItem(
      DRAFT,
      JSON.stringify({ ...this.#draft(), ...draft, isKept: this.#seed.isKept }),
    );
  }

  #restore() {
    const { isKept, shape, ...draft } = this.#draft();
    for (const [name, value] of Object.entries(draft)) {
      if (this.#fields[name]) this.#fields[name].value = value;
    }
    this.#seed.keep(isKept === true);
    this.#reflect();
  }
}

const range = (name) => document.querySelector(`input[data-for="${name}"]`);

/** Any text that nobody else has; randomUUID is there in secure contexts only. */
function newKey() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) =>
    byte.toString(16).padStart(2, "0"),
  ).join("");
}
