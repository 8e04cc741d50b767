// The size: the model's own, two shapes of about the same area, or any that it can draw.

import { byId, el } from "./dom.js";

const SHAPES = [
  ["square", "Square", null],
  ["portrait", "Portrait", 3 / 4],
  ["landscape", "Landscape", 4 / 3],
];
const CUSTOM = "custom";

export class Sizes {
  #fields;
  #offered = [];

  constructor(form) {
    this.#fields = form.elements;
  }

  /** What to ask for; nothing where no model is known, and the service knows best. */
  get value() {
    if (this.#shape === CUSTOM) {
      return { width: Number(this.#fields.width.value), height: Number(this.#fields.height.value) };
    }
    const offered = this.#offered.find(({ id }) => id === this.#shape);
    return offered ? { width: offered.width, height: offered.height } : {};
  }

  get #shape() {
    return this.#fields.shape?.value;
  }

  /** Offers what a model can draw. `shape` is the one to begin with. */
  offer(model, shape) {
    const chosen = this.#shape || shape || SHAPES[0][0];
    this.#offered = SHAPES.map(([id, label, ratio]) => ({ id, label, ...shaped(model, ratio) }));
    const choices = this.#offered.map(({ id, label, ...size }) => choice(id, label, size));
    byId("shapes").replaceChildren(...choices, choice(CUSTOM, "Custom"));
    this.#fields.shape.value = chosen;
    const { min_side: min, max_side: max, side_multiple: step } = model;
    for (const name of ["width", "height"]) {
      Object.assign(this.#fields[name], { min, max, step });
      this.#fields[name].value ||= model[name];
    }
    this.reflect();
  }

  choose(width, height) {
    const offered = this.#offered.find((size) => size.width === width && size.height === height);
    if (this.#fields.shape) this.#fields.shape.value = offered?.id ?? CUSTOM;
    this.#fields.width.value = width;
    this.#fields.height.value = height;
    this.reflect();
  }

  reflect() {
    byId("sides").hidden = this.#shape !== CUSTOM;
  }
}

/** Within the model's bounds; its native size where no ratio is named. */
function shaped(model, ratio) {
  if (ratio === null) return { width: model.width, height: model.height };
  const area = model.width * model.height;
  const largest = Math.sqrt(area * Math.max(ratio, 1 / ratio));
  const scale = Math.min(1, model.max_side / largest);
  const side = (length) => {
    const multiple = Math.round((length * scale) / model.side_multiple) * model.side_multiple;
    return Math.min(Math.max(multiple, model.min_side), model.max_side);
  };
  return { width: side(Math.sqrt(area * ratio)), height: side(Math.sqrt(area / ratio)) };
}

function choice(id, label, size) {
  return el(
    "label",
    {},
    el("input", { type: "radio", name: "shape", value: id }),
    el("span", { className: `glyph ${id}`, "aria-hidden": "true" }),
    el("span", {}, label),
    size && el("span", { className: "pixels" }, `${size.width} × ${size.height}`),
  );
}
