/** Jobs as the page sees them: each is followed over one event stream and kept as a plain view. */

import { Refused, Stream, get, post } from "./server.js";
import { TABS } from "./tabs.js";

const KINDS = [
  "queued", "loading", "running", "step", "preview", "image", "warning",
  "done", "failed", "interrupted", "parked",
];
const OVER = new Set(["done", "failed", "interrupted", "parked"]);
const HANDLERS = new Map([["start", new Set()], ["step", new Set()], ["image", new Set()],
  ["end", new Set()]]);

/** Whether nothing more will happen to a job in this state. */
export function isOver(state) {
  return OVER.has(state);
}

/** Tab that a job was submitted from; null for those of the API. */
export function tabOf(job) {
  const match = /^([a-z0-9]+)-[0-9a-f]{32}$/.exec(job.alias || "");
  return match && TABS.includes(match[1]) ? match[1] : null;
}

/** `window.easel.v1.job.on`: returns a function that ends the subscription. */
export function onJob(kind, handler) {
  const handlers = HANDLERS.get(kind);
  if (!handlers) throw new Error(`there is no job event '${kind}'`);
  handlers.add(handler);
  return () => handlers.delete(handler);
}

function tell(kind, detail) {
  for (const handler of HANDLERS.get(kind)) {
    try {
      handler(detail);
    } catch (error) {
      console.error(error); // a listener's mistake must not stop the page
    }
  }
}

/**
 * One job. `changed(view, kind)` is called after every event; of an old one nobody else is told.
 *
 * The view: id (as it was submitted), jobId (the server's), tab, state, position, eta, fraction,
 * text, step, steps, pass, passes, preview (address or null), images (by index), warnings, error,
 * isOver.
 */
export class JobView {
  constructor(id, tab, changed, isOld = false) {
    Object.assign(this, {
      id, tab, state: "queued", position: null, eta: null, fraction: 0, text: "", step: 0, steps: 0,
      pass: 0, passes: 1, preview: null, images: new Map(), warnings: [], error: null,
      isOver: false, jobId: null, isOld,
    });
    this.changed = changed;
    this.stream = new Stream(
      `internal/jobs/${encodeURIComponent(id)}/events`, KINDS,
      (kind, event) => this.take(kind, event),
    );
    this.stream.refused = () => this.lookFor();
  }

  async lookFor() {
    try {
      await get(`internal/jobs/${encodeURIComponent(this.id)}`);
    } catch (error) {
      if (error instanceof Refused && error.status === 404) this.take("failed", { text: "" });
    }
  }

  /** Stop following. */
  leave() {
    this.stream.close();
  }

  take(kind, event) {
    this.read(kind, event);
    if (this.isOver) this.stream.close();
    this.changed(this, kind);
    if (!this.isOld) this.announce(kind, event);
  }

  announce(kind, event) {
    const detail = { job: this.id, tab: this.tab, ...event };
    if (kind === "running") tell("start", detail);
    else if (kind === "step" || kind === "image") tell(kind, detail);
    else if (this.isOver) tell("end", { ...detail, state: kind });
  }

  read(kind, event) {
    if (event.job) this.jobId = event.job;
    switch (kind) {
      case "queued":
        Object.assign(this, {
          state: "queued", position: event.position ?? this.position,
          eta: event.eta_seconds ?? this.eta,
        });
        break;
      case "loading":
        Object.assign(this, {
          state: "loading", fraction: event.fraction ?? 0, text: event.text ?? "", eta: null,
        });
        break;
      case "running":
        Object.assign(this, { state: "running", text: "", fraction: 0 });
        break;
      case "step":
        Object.assign(this, {
          state: "running", fraction: event.fraction, eta: event.eta_seconds, text: event.text,
          step: event.step, steps: event.steps, pass: event.job_no, passes: event.job_count,
        });
        break;
      case "preview":
        this.preview = event.picture;
        break;
      case "image":
        this.preview = null;
        this.images.set(event.index, { ...event, isGone: Boolean(event.is_gone) });
        break;
      case "warning":
        this.warnings.push(event.text);
        break;
      default:
        Object.assign(this, {
          state: kind, isOver: OVER.has(kind), error: event.text ?? event.error ?? null,
          preview: null,
        });
    }
  }

  /** Stop: after the current picture, or now. A waiting job is cancelled either way. */
  interrupt(when) {
    return post(`internal/jobs/${encodeURIComponent(this.id)}/interrupt?when=${when}`);
  }

  /** Give up the current batch. */
  skip() {
    return post(`internal/jobs/${encodeURIComponent(this.id)}/skip`);
  }
}

/** The newest job of each tab: a Map from tab to {id, state}. */
export async function latestJobs() {
  const found = new Map();
  for (const job of await get("internal/jobs?limit=100")) {
    const tab = tabOf(job);
    if (tab && !found.has(tab)) found.set(tab, job);
  }
  return found;
}
