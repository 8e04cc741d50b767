// The sizes that the page offers for a model: its own, and two shapes of about the same area.

const RATIOS = [
  ["square", "Square", null],
  ["portrait", "Portrait", 3 / 4],
  ["landscape", "Landscape", 4 / 3],
];

export function sizesFor(model) {
  return RATIOS.map(([id, label, ratio]) => ({ id, label, ...shaped(model, ratio) }));
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
