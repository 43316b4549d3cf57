/** The header's status, the page's title and the screen lock, all from two sources: the server's
 * status stream and the tabs' jobs. */

import { setting, t } from "./dom.js";
import { seen, stateOf, tabs } from "./generate.js";
import { tabOf } from "./jobs.js";
import { duration } from "./results.js";
import { Stream } from "./server.js";
import { TABS } from "./tabs.js";

const NAME = "Easel";
let latest = null;
let stream = null;

function drawStatus() {
  if (!latest) return;
  drawQueue(document.getElementById("easel_queue"), latest.queue);
  drawModel(document.getElementById("easel_model_status"), latest.model);
}

function drawQueue(container, queue) {
  const span = container?.querySelector(".easel-queue") ?? container;
  if (!span) return;
  span.dataset.waiting = queue.waiting;
  span.dataset.running = queue.running;
  const text = queue.waiting ? t("header.waiting", { n: queue.waiting }) : "";
  if (span.textContent !== text) span.textContent = text;
}

function drawModel(element, model) {
  if (!element) return;
  element.dataset.state = model.state;
  element.style.setProperty("--easel-progress", String(model.fraction));
  const text = {
    loading: () => t("header.loading", { percent: Math.floor(model.fraction * 100) }),
    failed: () => model.message,
    none: () => model.message || t("header.no_model"),
    ready: () => "",
  }[model.state]();
  if (element.textContent !== text) element.textContent = text;
  element.title = model.message || "";
}

function take(kind, status) {
  latest = status;
  drawStatus();
  for (const job of status.jobs) {
    const tab = tabOf(job);
    if (tab) seen(tab, job);
  }
}

/** The stream is open only while the page is in sight: browsers allow few connections. */
function openOrClose() {
  if (document.hidden) {
    stream?.close();
    stream = null;
  } else {
    stream ??= new Stream("internal/status/events", ["status"], take);
  }
}

/** The job to tell of in the title: a running one, else a waiting one. */
function currentJob() {
  const jobs = TABS.map((tab) => stateOf(tab).job).filter((job) => job && !job.isOver);
  return jobs.find((job) => job.state === "running") ?? jobs[0] ?? null;
}

function drawTitle() {
  const job = setting("show_progress_in_title", true) ? currentJob() : null;
  let title = NAME;
  if (job?.state === "running") {
    const eta = job.eta === null || job.eta === undefined
      ? "" : ` ${t("job.eta", { time: duration(job.eta) })}`;
    title = `[${Math.floor(job.fraction * 100)}%${eta}] ${NAME}`;
  } else if (job) {
    title = `[…] ${NAME}`;
  }
  if (document.title !== title) document.title = title;
}

let lock = null;
let isAsking = false;

/** Keep the screen on while pictures are made. */
async function holdScreen() {
  const wanted = Boolean(currentJob()) && !document.hidden;
  if (!wanted && lock) {
    const held = lock;
    lock = null;
    await held.release();
  } else if (wanted && !lock && !isAsking && navigator.wakeLock) {
    isAsking = true;
    try {
      lock = await navigator.wakeLock.request("screen");
      lock.addEventListener("release", () => {
        lock = null;
      });
    } catch {
      // refused, e.g. to save the battery: the screen may go dark then
    } finally {
      isAsking = false;
    }
  }
}

export function watchHeader() {
  openOrClose();
  document.addEventListener("visibilitychange", () => {
    openOrClose();
    holdScreen();
  });
  document.addEventListener("easel:language", drawStatus);
  tabs.addEventListener("change", () => {
    drawTitle();
    holdScreen();
  });
  // the header is drawn by the page some time after this script has run
  new MutationObserver(() => {
    const element = document.getElementById("easel_model_status");
    if (element && latest && element.dataset.state !== latest.model.state) drawStatus();
  }).observe(document.body, { childList: true, subtree: true });
}
