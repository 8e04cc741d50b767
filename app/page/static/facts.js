// What a picture came from, and how it went: by name, as it is read.

import { moment, samplerName, seconds, size } from "./words.js";

export function facts(job, n) {
  const { request, images, timings } = job;
  const waited = timings?.queue_s >= 1 ? `, ${seconds(timings.queue_s)} of it in the queue` : "";
  const took = timings?.total_s ? `${seconds(timings.total_s)}${waited}` : null;
  const rows = [
    ["Negative prompt", request.negative_prompt],
    ["Picture", request.images > 1 ? `${n + 1} of ${request.images}` : null],
    ["Size", size(job)],
    ["Seed", String(images[n]?.seed ?? request.seed + n)],
    ["Steps", String(request.steps)],
    ["Guidance", guidance(job)],
    ["Sampler", samplerName(request.sampler)],
    ["Model", job.model],
    ["Asked", moment(job.created_at)],
    ["Took", job.cached ? "nothing: an equal job had made it already" : took],
    ["Worker", job.worker],
    ["Job", job.id],
  ];
  return rows.filter(([, value]) => value);
}

function guidance({ request, approximations }) {
  if (!approximations.includes("guidance_interval")) return String(request.guidance);
  const [from, to] = [request.guidance_start, request.guidance_stop].map(
    (share) => `${Math.round(100 * share)}%`,
  );
  return `${request.guidance}, from ${from} to ${to} of the steps`;
}
