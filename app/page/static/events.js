// Server-Sent Events by fetch, since EventSource can send no key.

import { Problem } from "./api.js";

const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 5000;
const SILENCE_MS = 45_000; // three heartbeats: the line is dead

/**
 * All events of a job to its end, over as many connections as it takes: each one goes on where the
 * last one broke off. `seen.id` is the last event's, and outlives the generator.
 */
export async function* follow(api, url, seen, signal) {
  let pause = FIRST_PAUSE_MS;
  while (!signal.aborted) {
    try {
      for await (const event of connection(api, url, seen, signal)) {
        if (event === null) return; // there is nothing to come back for
        pause = FIRST_PAUSE_MS;
        yield event;
        if (event.name === "end") return;
      }
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof Problem && error.status < 500 && error.status !== 429) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, pause));
    pause = Math.min(pause * 2, LONGEST_PAUSE_MS);
  }
}

async function* connection(api, url, seen, signal) {
  const broken = new AbortController();
  const either = AbortSignal.any([signal, broken.signal]);
  const headers = seen.id ? { "Last-Event-ID": seen.id } : {};
  let watchdog = setTimeout(() => broken.abort(), SILENCE_MS);
  try {
    const answer = await api.ask(url, { headers, signal: either });
    if (answer.status === 204) yield null;
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      clearTimeout(watchdog);
      watchdog = setTimeout(() => broken.abort(), SILENCE_MS);
      const blocks = (rest + value).split("\n\n");
      rest = blocks.pop();
      for (const event of blocks.map(read)) {
        if (event.id) seen.id = event.id;
        if (event.data) yield event;
      }
    }
  } finally {
    clearTimeout(watchdog);
    broken.abort();
  }
}

function read(block) {
  const event = { id: "", name: "", data: null };
  for (const line of block.split("\n")) {
    if (line.startsWith("id: ")) event.id = line.slice(4);
    else if (line.startsWith("event: ")) event.name = line.slice(7);
    else if (line.startsWith("data: ")) event.data = JSON.parse(line.slice(6));
  }
  return event;
}
