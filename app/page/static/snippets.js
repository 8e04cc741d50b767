// A picture's request as something to run elsewhere. The key is named and never written out.

const ASIDE = [
  "images",
  "resized_width",
  "resized_height",
  "previews",
  "priority",
  "quality",
  "fitted",
];

/** What makes this very picture again, by itself. */
export function requestFor(job, image) {
  const { request } = job;
  const kept = Object.entries(request).filter(([name]) => !ASIDE.includes(name));
  const body = { ...Object.fromEntries(kept), seed: image?.seed ?? request.seed };
  if (request.quality !== null) body.quality = request.quality;
  if (request.guidance_start === 0) delete body.guidance_start;
  if (request.guidance_stop === 1) delete body.guidance_stop;
  if (request.resized_width !== null) {
    Object.assign(body, {
      width: request.resized_width,
      height: request.resized_height,
      size_policy: "fit",
    });
  }
  return body;
}

export function curl(body, name, needsKey) {
  return [
    `curl -sf ${location.origin}/generate`,
    "-H 'Content-Type: application/json'",
    `-H 'Accept: image/${body.format}'`,
    ...(needsKey ? ['-H "Authorization: Bearer $DARKROOM_KEY"'] : []),
    `-d ${quoted(JSON.stringify(body))}`,
    `-o ${quoted(name)}`,
  ].join(" \\\n  ");
}

export function python(body, name, needsKey) {
  const fields = Object.entries(body).map(([key, value]) => `    "${key}": ${literal(value)},`);
  const key = '    "Authorization": f"Bearer {os.environ[\'DARKROOM_KEY\']}",';
  return [
    "import json",
    ...(needsKey ? ["import os"] : []),
    "import urllib.request",
    "",
    "body = {",
    ...fields,
    "}",
    "headers = {",
    '    "Content-Type": "application/json",',
    `    "Accept": "image/${body.format}",`,
    ...(needsKey ? [key] : []),
    "}",
    "request = urllib.request.Request(",
    `    "${location.origin}/generate", json.dumps(body).encode(), headers`,
    ")",
    "with urllib.request.urlopen(request) as answer:",
    `    picture = answer.read()`,
    `with open(${literal(name)}, "wb") as file:`,
    "    file.write(picture)",
    "",
  ].join("\n");
}

const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;

/** JSON's texts and numbers are Python's as well; its words are not. */
function literal(value) {
  if (value === null) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  return JSON.stringify(value);
}
