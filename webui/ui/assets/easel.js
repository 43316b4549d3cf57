/** Entry: `window.easel.v1` (easel.d.ts), and everything that watches the page. */

import {
  drawButtons, reattach, refused, submitted, submitting, watchButtons,
} from "./generate.js";
import { watchAccessibility } from "./accessibility.js";
import { watchDrops } from "./drop.js";
import { setting } from "./dom.js";
import { watchHeader } from "./header.js";
import { onJob } from "./jobs.js";
import { openSheet, watchKeys } from "./keyboard.js";
import { toast } from "./messages.js";
import { promptApi, watchPrompts } from "./prompts.js";
import { defineResults, selected, sendTo, watchExamples } from "./results.js";
import { watchSplitters } from "./splitter.js";
import { TABS, command, show } from "./tabs.js";

window.easel = Object.freeze({
  v1: {
    prompt: promptApi,
    job: { on: onJob },
    images: { sendTo, selected },
    tabs: { open: show },
    settings: { get: setting },
    toast,
    // what the page's own events call
    command, show, submitting, submitted, refused, selected,
    confirm: (sentence) => window.confirm(sentence),
    shortcuts: openSheet,
  },
});

defineResults();
watchPrompts();
watchKeys();
watchDrops();
watchButtons();
watchSplitters();
watchAccessibility();
watchHeader();
watchExamples((tab, prompt) => promptApi(tab).set(prompt));
reattach();

// Python draws a tab when it is first opened: its buttons then learn what is going on
new MutationObserver(() => {
  for (const tab of TABS) {
    const box = document.getElementById(`${tab}_generate_box`);
    if (box && !box.dataset.state) drawButtons(tab);
  }
}).observe(document.body, { childList: true, subtree: true });
