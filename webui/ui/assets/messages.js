/** Short notes at the edge of the page, read out to those who do not see them. */

import { make } from "./dom.js";

const SECONDS = 6;

function region() {
  const found = document.querySelector(".easel-toasts");
  if (found) return found;
  const made = make("div", { class: "easel-toasts", role: "status", "aria-live": "polite" });
  document.body.append(made);
  return made;
}

/** Say a sentence for a few seconds; a click removes it. */
export function toast(sentence) {
  if (!sentence) return;
  const note = make("div", { class: "easel-toast", onclick: () => note.remove() }, sentence);
  region().append(note);
  setTimeout(() => note.remove(), SECONDS * 1000);
}
