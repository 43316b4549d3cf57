/** Requests to Easel's own routes. */

const ROOT = new URL("../../", import.meta.url);

/** Absolute address of a path such as "internal/jobs". */
export function address(path) {
  return new URL(path, ROOT).href;
}

/** Address of a finished picture; `thumb`: longest side in pixels. */
export function pictureAddress(job, index, thumb) {
  const query = thumb ? `?thumb=${thumb}` : "";
  return address(`internal/jobs/${encodeURIComponent(job)}/images/${index}${query}`);
}

/** What the server refused, in a sentence. */
export class Refused extends Error {
  constructor(status, sentence, field) {
    super(sentence);
    this.status = status;
    this.field = field;
  }
}

async function answered(response) {
  if (response.ok) return response.status === 204 ? null : response.json();
  let body = {};
  try {
    body = await response.json();
  } catch {
    // no JSON: the status has to do
  }
  throw new Refused(response.status, body.errors || `${response.status}`, body.field || null);
}

/** GET a path's JSON. Throws Refused, or TypeError when the server cannot be reached. */
export async function get(path) {
  return answered(await fetch(address(path), { cache: "no-store" }));
}

/** POST JSON (or nothing) and read JSON. Throws as `get`. */
export async function post(path, body) {
  const headers = body === undefined ? {} : { "Content-Type": "application/json" };
  return answered(await fetch(address(path), {
    method: "POST", headers, body: body === undefined ? undefined : JSON.stringify(body),
  }));
}

/** POST a file's bytes as they are. Throws as `get`. */
export async function postFile(path, file) {
  return answered(await fetch(address(path), {
    method: "POST", headers: { "Content-Type": "application/octet-stream" }, body: file,
  }));
}

/** DELETE a path. Throws as `get`. */
export async function remove(path) {
  return answered(await fetch(address(path), { method: "DELETE" }));
}

/**
 * Follow a server-sent event stream until `close()` is called. The browser reconnects by itself
 * after a lost connection and says where it stopped; after a refusal `refused()` is called and this
 * tries again, ever later.
 */
export class Stream {
  constructor(path, kinds, listener) {
    this.path = path;
    this.kinds = kinds;
    this.listener = listener;
    this.delay = 1000;
    this.open();
  }

  open() {
    this.source = new EventSource(address(this.path));
    for (const kind of this.kinds) {
      this.source.addEventListener(kind, (event) => {
        this.delay = 1000;
        this.listener(kind, JSON.parse(event.data));
      });
    }
    this.source.addEventListener("error", () => {
      if (this.source.readyState !== EventSource.CLOSED || this.isClosed) return;
      this.refused?.();
      this.timer = setTimeout(() => this.open(), this.delay);
      this.delay = Math.min(this.delay * 2, 30000);
    });
  }

  close() {
    this.isClosed = true;
    clearTimeout(this.timer);
    this.source.close();
  }
}
