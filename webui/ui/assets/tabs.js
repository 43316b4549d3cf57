/** The page's tabs, and commands to their Python side. */

import { appears, isVisible, type } from "./dom.js";

/** Tabs that make pictures. */
export const TABS = ["txt2img", "img2img", "inpaint"];

/** The tab button whose panel is `tab_NAME`. */
function tabButton(tab) {
  const buttons = [...document.querySelectorAll("#tabs [role=tab]")];
  const panel = `tab_${tab}`;
  return buttons.find(
    (button) => button.id === `${panel}-button` || button.getAttribute("aria-controls") === panel,
  ) || null;
}

/** Switch to a tab and wait until it is drawn. */
export async function show(tab) {
  if (isVisible(document.getElementById(`tab_${tab}`))) return;
  tabButton(tab)?.click();
  await appears(`#tab_${tab}`);
}

/** The tab that makes pictures and is in front; null on any other tab. */
export function currentTab() {
  return TABS.find((tab) => isVisible(document.getElementById(`${tab}_generate_box`))) || null;
}

let nonce = 0;

/** Ask a tab's Python side for something; see README.md, "commands". */
export async function command(tab, request) {
  nonce += 1;
  const field = await appears(`#${tab}_command textarea, #${tab}_command input`);
  type(field, JSON.stringify({ ...request, nonce: `${Date.now()}-${nonce}` }));
}
