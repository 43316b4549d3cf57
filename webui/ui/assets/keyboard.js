/** A1111's shortcuts, and the sheet that lists them. */

import { icon, isVisible, make, t } from "./dom.js";
import { busyTab, generateAgain, interrupt, skip } from "./generate.js";
import { handlePromptKey } from "./prompts.js";
import { currentTab } from "./tabs.js";

const SHORTCUTS = [
  ["Ctrl + Enter", "shortcut.generate"],
  ["Alt + Enter", "shortcut.skip"],
  ["Esc", "shortcut.interrupt"],
  ["Ctrl + ↑ / ↓", "shortcut.attention"],
  ["Alt + ← / →", "shortcut.move"],
  ["?", "shortcut.sheet"],
];
const VIEWER = [
  ["← / →", "shortcut.viewer_turn"],
  ["+ / − / 0", "shortcut.viewer_zoom"],
  ["S", "shortcut.viewer_save"],
  ["Esc", "shortcut.viewer_close"],
];

/** Something lies over the page, or is open, that Esc closes first. */
function hasPopup(target) {
  if (document.querySelector("dialog[open]")) return true;
  if ([...document.querySelectorAll("[role=listbox]")].some(isVisible)) return true;
  return Boolean(target.closest?.("[aria-expanded=true]"));
}

function isField(element) {
  return Boolean(element.closest?.("input, textarea, select, [contenteditable=true]"));
}

/** Do what a key means; true if it meant something. */
function handle(event) {
  const ctrl = event.ctrlKey || event.metaKey;
  if (event.key === "Enter" && (ctrl || event.altKey)) {
    const tab = currentTab();
    if (!tab || hasPopup(event.target)) return false;
    if (ctrl) generateAgain(tab);
    else skip(tab);
    return true;
  }
  if (event.key === "Escape" && !ctrl && !event.altKey) {
    const tab = busyTab();
    if (!tab || hasPopup(event.target)) return false;
    interrupt(tab);
    return true;
  }
  if (event.key === "?" && !ctrl && !event.altKey && !isField(event.target)) {
    openSheet();
    return true;
  }
  return handlePromptKey(event);
}

function table(rows) {
  return make("table", {}, make("tbody", {}, ...rows.map(([keys, meaning]) => make("tr", {},
    make("th", { scope: "row" }, make("kbd", {}, keys)), make("td", {}, t(meaning))))));
}

/** List the shortcuts. */
export function openSheet() {
  if (document.querySelector(".easel-sheet[open]")) return;
  const close = make("button", {
    type: "button", class: "easel-sheet-close", "aria-label": t("lightbox.close"),
    onclick: () => sheet.close(),
  }, icon("close"));
  const sheet = make("dialog", { class: "easel-sheet", "aria-labelledby": "easel_sheet_title" },
    close, make("h2", { id: "easel_sheet_title" }, t("shortcut.title")), table(SHORTCUTS),
    make("h3", {}, t("shortcut.viewer")), table(VIEWER));
  sheet.addEventListener("close", () => sheet.remove());
  sheet.addEventListener("click", (event) => {
    if (event.target === sheet) sheet.close();
  });
  document.body.append(sheet);
  sheet.showModal();
}

export function watchKeys() {
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.isComposing || !handle(event)) return;
    event.preventDefault();
    event.stopPropagation();
  }, true);
  document.addEventListener("click", (event) => {
    if (event.target.closest?.("#easel_shortcuts")) openSheet();
  });
}
