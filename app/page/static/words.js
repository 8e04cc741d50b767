// What is said of a job, and of times and numbers.

export const isOpen = (job) => job.state === "queued" || job.state === "running";

/** How far a job is, from 0 to 1. */
export function share(job) {
  if (job.state === "succeeded") return 1;
  return job.progress ? job.progress.step / job.progress.steps : 0;
}

export function seconds(s) {
  if (s === null || s === undefined) return "";
  if (s < 90) return `${Math.max(1, Math.round(s))} s`;
  if (s < 5400) return `${Math.round(s / 60)} min`;
  return `${Math.round(s / 3600)} h`;
}

/** One line on where a job stands. */
export function standing(job) {
  const left = seconds(job.estimated_s);
  if (job.state === "queued") {
    const place = job.queue_position ? `place ${job.queue_position} in the queue` : "in the queue";
    return left ? `${capital(place)}, about ${left}` : capital(place);
  }
  if (job.state === "running") {
    const step = job.progress ? `step ${job.progress.step} of ${job.progress.steps}` : "begins";
    return left ? `Developing, ${step}, ${left} left` : `Developing, ${step}`;
  }
  if (job.state === "failed") return job.error?.title ?? "Failed";
  if (job.state === "cancelled") return "Cancelled";
  return `${size(job)} · seed ${job.request.seed}`;
}

/** The size of the finished pictures. */
export function size({ request }) {
  return `${request.resized_width ?? request.width} × ${request.resized_height ?? request.height}`;
}

export function samplerName(name) {
  const option = document.querySelector(`#sampler option[value="${CSS.escape(name)}"]`);
  return option?.textContent ?? name;
}

export function count(number, noun) {
  return `${number} ${noun}${number === 1 ? "" : "s"}`;
}

export function moment(text) {
  return new Date(text).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "medium" });
}

/** A name for a picture's file, as the service makes it. */
export function fileName(job, image) {
  const words = job.request.prompt
    .toLowerCase()
    .slice(0, 40)
    .replace(/[^a-z0-9]+/g, "-");
  return `${words.replace(/^-|-$/g, "") || "picture"}-${image.seed}.${job.request.format}`;
}

function capital(text) {
  return text[0].toUpperCase() + text.slice(1);
}
