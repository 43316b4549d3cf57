/**
 * Each tab's Generate button and its current job: submit, follow, interrupt, skip, start again.
 *
 * `easel-results` elements and the page's title listen to the `tabs` target: an event "change" with
 * `detail = {tab}` after everything that happens.
 */

import { setting, t } from "./dom.js";
import { JobView, isOver, latestJobs } from "./jobs.js";
import { toast } from "./messages.js";
import { TABS, currentTab } from "./tabs.js";

const ANSWER_MILLISECONDS = 60000;

export const tabs = new EventTarget();

/**
 * What the page knows of a tab. `job`: the view of the job that is followed; `ahead`: ids of those
 * that come after it; `made`: views of this batch of jobs; `shown`: the views whose pictures are
 * shown, the last batch's until this one has some.
 */
const states = new Map(TABS.map((tab) => [tab, {
  job: null, ahead: [], made: [], shown: [], phase: "idle", asked: null, restart: false,
}]));

/** The state of a tab; do not change it from outside. */
export function stateOf(tab) {
  return states.get(tab);
}

function changed(tab) {
  drawButtons(tab);
  tabs.dispatchEvent(new CustomEvent("change", { detail: { tab } }));
}

function buttonState(state) {
  if (state.asked) return "stopping";
  if (state.phase === "sent") return "queued";
  if (!state.job || state.job.isOver) return "idle";
  return state.job.state === "queued" ? "queued" : "running";
}

/** Show which of Generate, Interrupt and Skip fits, also after the page drew them anew. */
export function drawButtons(tab) {
  const box = document.getElementById(`${tab}_generate_box`);
  if (!box) return;
  const state = states.get(tab);
  const value = buttonState(state);
  if (box.dataset.state !== value) box.dataset.state = value;
  const button = document.getElementById(`${tab}_interrupt`);
  if (!button) return;
  const note = state.asked === "after" ? t("job.stop_after_note") : "";
  if (note) button.title = note;
  else button.removeAttribute("title");
}

/** `easel.v1.submitting`: Generate was clicked. */
export function submitting(tab) {
  const state = states.get(tab);
  clearRefusal(tab);
  Object.assign(state, { phase: "sent", asked: null });
  clearTimeout(state.timer);
  state.timer = setTimeout(unanswered, ANSWER_MILLISECONDS, tab);
  changed(tab);
}

function unanswered(tab) {
  if (states.get(tab).phase !== "sent") return;
  Object.assign(states.get(tab), { phase: "idle", restart: false });
  changed(tab);
  toast(t("server.unreachable"));
}

/** `easel.v1.submitted`: a job was accepted; called once for each if there are several. */
export function submitted(tab, id) {
  const state = states.get(tab);
  const isFirst = state.phase === "sent";
  state.phase = "idle";
  if (isFirst || !state.job || state.job.isOver) follow(tab, id, isFirst);
  else if (!knows(state, id)) state.ahead.push(id);
  changed(tab);
}

function knows(state, id) {
  return state.ahead.includes(id) || state.made.some((view) => view.id === id || view.jobId === id);
}

/** `easel.v1.refused`: it was not; says why at the field. */
export function refused(tab, field, sentence) {
  Object.assign(states.get(tab), { phase: "idle", restart: false });
  changed(tab);
  const id = window.EASEL.fields?.[tab]?.[field];
  const control = id && document.getElementById(id);
  if (control) markInvalid(control, sentence);
}

function markInvalid(control, sentence) {
  const inputs = control.querySelectorAll("input, textarea");
  for (const input of inputs) input.setAttribute("aria-invalid", "true");
  control.querySelector(".easel-field-error")?.remove();
  const note = document.createElement("p");
  note.className = "easel-field-error";
  note.id = `${control.id}_error`;
  note.textContent = sentence;
  control.append(note);
  inputs[0]?.setAttribute("aria-describedby", note.id);
  control.scrollIntoView({ block: "nearest" });
  control.addEventListener("input", () => unmark(control), { once: true });
}

function unmark(control) {
  control.querySelector(".easel-field-error")?.remove();
  for (const input of control.querySelectorAll("[aria-invalid]")) {
    input.removeAttribute("aria-invalid");
    input.removeAttribute("aria-describedby");
  }
}

function clearRefusal(tab) {
  for (const id of Object.values(window.EASEL.fields?.[tab] || {})) {
    const control = document.getElementById(id);
    if (control?.querySelector(".easel-field-error")) unmark(control);
  }
}

/**
 * Follow a job in a tab. `isFirst`: of a new batch, whose pictures replace the last one's; `isOld`:
 * it was over before, so that nobody needs to be told of it.
 */
function follow(tab, id, isFirst, isOld = false) {
  const state = states.get(tab);
  state.job?.leave();
  state.asked = null;
  const view = new JobView(id, tab, (changedView) => {
    if (state.job === changedView) progressed(tab, changedView);
  }, isOld);
  if (isFirst) Object.assign(state, { made: [], ahead: [] });
  state.made.push(view);
  state.job = view;
  if (!state.shown.length) state.shown = state.made;
  changed(tab);
}

function progressed(tab, view) {
  const state = states.get(tab);
  if (view.images.size || view.preview || view.isOver) state.shown = state.made;
  if (view.isOver) state.asked = null;
  changed(tab);
  if (view.isOver) next(tab);
}

/** After a job: what Ctrl+Enter asked for, or the next of this batch. */
function next(tab) {
  const state = states.get(tab);
  if (state.restart) {
    state.restart = false;
    generate(tab);
  } else if (state.ahead.length) {
    follow(tab, state.ahead.shift(), false);
  }
}

/** Click Generate. */
export function generate(tab) {
  document.getElementById(`${tab}_generate`)?.click();
}

/** Ctrl+Enter: generate; while something runs, stop that and start again. */
export function generateAgain(tab) {
  const state = states.get(tab);
  if (buttonState(state) === "idle") {
    generate(tab);
  } else if (state.job && !state.job.isOver) {
    state.restart = true;
    stop(tab, "now");
  }
}

/**
 * Interrupt, in A1111's manner: with several pictures to come the first click waits for the current
 * one, the second does not.
 */
export function interrupt(tab) {
  const { job, asked } = states.get(tab);
  if (!job || job.isOver) return;
  const isLong = job.state === "running" && job.passes > 1;
  const waits = isLong && asked === null && setting("interrupt_after_current", true);
  if (waits) toast(t("job.stop_after_note"));
  stop(tab, waits ? "after" : "now");
}

async function stop(tab, when) {
  const state = states.get(tab);
  state.asked = when;
  changed(tab);
  try {
    await state.job.interrupt(when);
  } catch (error) {
    state.asked = null;
    changed(tab);
    toast(error.message);
  }
}

/** Skip the current batch. */
export async function skip(tab) {
  const { job } = states.get(tab);
  if (!job || job.isOver) return;
  try {
    await job.skip();
  } catch (error) {
    toast(error.message);
  }
}

/** Whether a tab's job is under way. */
export function isBusy(tab) {
  return buttonState(states.get(tab)) !== "idle";
}

/** The tab that Esc and Alt+Enter mean: the one in front. */
export function busyTab() {
  const tab = currentTab();
  return tab && isBusy(tab) ? tab : null;
}

/** Pick up what the server knows: each tab's newest job, running or not. */
export async function reattach() {
  try {
    for (const [tab, job] of await latestJobs()) {
      if (!states.get(tab).job) follow(tab, job.alias || job.id, true, isOver(job.state));
    }
  } catch (error) {
    if (!(error instanceof TypeError)) throw error; // not reachable: the status line says so
  }
}

/** A job of this owner is under way, perhaps started on another device. */
export function seen(tab, job) {
  const state = states.get(tab);
  const id = job.alias || job.id;
  if (state.phase !== "idle" || knows(state, id) || knows(state, job.id)) return;
  if (!state.job || state.job.isOver) follow(tab, id, true);
}

/** Wire Interrupt and Skip wherever they are drawn, and keep the buttons as the state says. */
export function watchButtons() {
  document.addEventListener("click", (event) => {
    const button = event.target.closest?.("button");
    const match = button && /^([a-z0-9]+)_(interrupt|skip)$/.exec(button.id);
    if (!match || !states.has(match[1])) return;
    if (match[2] === "interrupt") interrupt(match[1]);
    else skip(match[1]);
  });
  document.addEventListener("easel:language", () => {
    for (const tab of TABS) changed(tab);
  });
}
