/** The prompt boxes: reading and writing, attention editing, the bracket check. */

import { editAttention, moveElements, unbalancedBrackets } from "./attention.js";
import { setting, t } from "./dom.js";
import { TABS } from "./tabs.js";

const CHECK_DELAY = 800;
const BOXES = TABS.flatMap((tab) => [`${tab}_prompt`, `${tab}_neg_prompt`]);
const listeners = new Set();
const timers = new Map();

/** The text field of a tab's prompt or negative prompt; null while the tab is not drawn. */
export function promptField(tab, negative = false) {
  return document.querySelector(`#${tab}_${negative ? "neg_prompt" : "prompt"} textarea`);
}

/** The prompt box (its id) that an element lies in; null for any other. */
function boxOf(element) {
  if (!(element instanceof HTMLTextAreaElement)) return null;
  return BOXES.find((id) => element.closest(`#${id}`)) || null;
}

/** Whether an element is a prompt's text field. */
export function isPrompt(element) {
  return boxOf(element) !== null;
}

/** Replace a field's text as an edit that the browser can undo. */
export function rewrite(field, text, start, end) {
  const old = field.value;
  let first = 0;
  while (first < Math.min(old.length, text.length) && old[first] === text[first]) first += 1;
  let oldEnd = old.length;
  let newEnd = text.length;
  while (oldEnd > first && newEnd > first && old[oldEnd - 1] === text[newEnd - 1]) {
    oldEnd -= 1;
    newEnd -= 1;
  }
  field.focus();
  field.setSelectionRange(first, oldEnd);
  const piece = text.slice(first, newEnd);
  const done = piece
    ? document.execCommand("insertText", false, piece) : document.execCommand("delete");
  if (!done || field.value !== text) {
    field.value = text;
    field.dispatchEvent(new Event("input", { bubbles: true }));
  }
  field.setSelectionRange(start, end);
}

/** What `window.easel.v1.prompt(tab)` gives. */
export function promptApi(tab, { negative = false } = {}) {
  const field = () => promptField(tab, negative);
  return {
    get: () => field()?.value ?? "",
    set(text) {
      if (field()) rewrite(field(), text, text.length, text.length);
    },
    insert(text) {
      const box = field();
      if (!box) return;
      const { selectionStart: start, selectionEnd: end, value } = box;
      rewrite(box, value.slice(0, start) + text + value.slice(end), start + text.length,
        start + text.length);
    },
    onChange(listener) {
      const entry = { tab, negative, listener };
      listeners.add(entry);
      return () => listeners.delete(entry);
    },
  };
}

function selectionOf(field) {
  return { text: field.value, start: field.selectionStart, end: field.selectionEnd };
}

function apply(field, edited) {
  if (!edited) return;
  rewrite(field, edited.text, edited.start, edited.end);
}

/** Ctrl+Up/Down and Alt+Left/Right in a prompt box; true if the key was one of them. */
export function handlePromptKey(event) {
  const field = event.target;
  const ctrl = event.ctrlKey || event.metaKey;
  const isVertical = event.key === "ArrowUp" || event.key === "ArrowDown";
  const isSideways = event.key === "ArrowLeft" || event.key === "ArrowRight";
  if (!isPrompt(field) || event.shiftKey) return false;
  if (ctrl && !event.altKey && isVertical) {
    apply(field, editAttention(selectionOf(field), event.key === "ArrowUp" ? 1 : -1, {
      attention: setting("keyedit_precision_attention", 0.1),
      extra: setting("keyedit_precision_extra", 0.05),
      delimiters: setting("keyedit_delimiters", ".,\\/!?%^*;:{}=`~() "),
    }));
    return true;
  }
  if (event.altKey && !ctrl && isSideways && setting("keyedit_move", true)) {
    apply(field, moveElements(selectionOf(field), event.key === "ArrowRight" ? 1 : -1));
    return true;
  }
  return false;
}

/** Mark a prompt box whose brackets do not match. */
function checkBrackets(id) {
  const box = document.getElementById(id);
  const field = box?.querySelector("textarea");
  if (!field) return;
  const pairs = unbalancedBrackets(field.value);
  const sentence = pairs.length ? t("prompt.brackets", { pairs: pairs.join(" ") }) : "";
  if (sentence) box.dataset.brackets = sentence;
  else delete box.dataset.brackets;
  const tab = TABS.find((name) => id.startsWith(`${name}_`));
  const counter = document.getElementById(
    `${tab}_${id.endsWith("neg_prompt") ? "negative_token_counter" : "token_counter"}`,
  );
  if (sentence) counter?.setAttribute("title", sentence);
  else counter?.removeAttribute("title");
}

/** Watch all prompt boxes, those that are drawn later too. */
export function watchPrompts() {
  document.addEventListener("input", (event) => {
    const id = boxOf(event.target);
    if (!id) return;
    const negative = id.endsWith("_neg_prompt");
    for (const entry of listeners) {
      if (id.startsWith(`${entry.tab}_`) && entry.negative === negative) {
        entry.listener(event.target.value);
      }
    }
    clearTimeout(timers.get(id));
    timers.set(id, setTimeout(checkBrackets, CHECK_DELAY, id));
  });
  document.addEventListener("easel:language", () => {
    for (const id of BOXES) checkBrackets(id);
  });
}
