/**
 * Pictures dropped and pasted: onto a prompt they bring back their settings, onto a picture field
 * they become its picture; '1024x768' pasted into width or height fills both.
 */

import { isVisible, t, type } from "./dom.js";
import { toast } from "./messages.js";
import { postFile } from "./server.js";
import { TABS, command } from "./tabs.js";

const PICTURES = [
  "img2img_image", "img2img_sketch", "img2maskimg", "inpaint_sketch", "img_inpaint_base",
  "img_inpaint_mask", "pnginfo_image",
];
/** Fields that Python fills by "receive" when they hold a picture already, and their tab. */
const RECEIVERS = { img2img_image: "img2img", img2maskimg: "inpaint" };
const MAX_TEXT_BYTES = 10000;
const SIZE = /^\s*(\d{2,5})\s*(?:[x×*,]|\s)\s*(\d{2,5})\s*$/i;

function fieldOf(element) {
  return PICTURES.map((id) => document.getElementById(id))
    .find((field) => field?.contains(element)) || null;
}

function promptTabOf(element) {
  return TABS.find((tab) => element.closest?.(`#${tab}_prompt, #${tab}_neg_prompt`)) || null;
}

function isFree(field) {
  return Boolean(field.querySelector("input[type=file]"))
    && !field.querySelector("img[src], canvas");
}

/** The dropped file; a picture dragged from this page is fetched, other addresses are not. */
async function fileOf(transfer) {
  if (transfer.files.length) return transfer.files[0];
  const link = transfer.getData("text/uri-list").split("\n").find((line) => !line.startsWith("#"));
  if (!link || new URL(link, document.baseURI).origin !== window.location.origin) return null;
  const response = await fetch(link);
  if (!response.ok) return null;
  const content = await response.blob();
  return new File([content], "picture.png", { type: content.type });
}

async function attempt(doing) {
  try {
    await doing();
  } catch (error) {
    toast(error instanceof TypeError ? t("server.unreachable") : error.message);
  }
}

/** A picture's settings, or a text file, into a tab's form. */
async function restore(tab, file) {
  if (!file.type.startsWith("image/")) {
    const text = file.size < MAX_TEXT_BYTES ? await file.text() : "";
    if (!text || text.includes("\uFFFD")) toast(t("drop.no_picture"));
    else await command(tab, { do: "paste", text });
    return;
  }
  const info = await postFile("internal/picture-info", file);
  if (info.infotext) await command(tab, { do: "paste", text: info.infotext });
  else toast(t("drop.no_settings"));
}

/** A picture into a picture field. */
async function fill(field, file) {
  if (!file.type.startsWith("image/")) {
    toast(t("drop.no_picture"));
    return;
  }
  const tab = RECEIVERS[field.id];
  if (tab && !isFree(field)) {
    const { picture } = await postFile("internal/pictures", file);
    await command(tab, { do: "receive", picture });
    return;
  }
  const input = field.querySelector("input[type=file]");
  if (!input) {
    toast(t("drop.clear_first"));
    return;
  }
  const files = new DataTransfer();
  files.items.add(file);
  input.files = files.files;
  input.dispatchEvent(new Event("change", { bubbles: true }));
}

function carriesPicture(transfer) {
  const kinds = [...(transfer?.types ?? [])];
  return kinds.includes("Files") || kinds.includes("text/uri-list");
}

function dropped(event) {
  if (!carriesPicture(event.dataTransfer)) return;
  const tab = promptTabOf(event.target);
  const field = tab ? null : fieldOf(event.target);
  if (!tab && !field) return;
  event.preventDefault();
  event.stopPropagation();
  const file = fileOf(event.dataTransfer);
  attempt(async () => {
    const given = await file;
    if (!given) toast(t("drop.no_picture"));
    else if (tab) await restore(tab, given);
    else await fill(field, given);
  });
}

/** '1024x768' into width or height. */
function pastedSize(event) {
  const tab = TABS.find((name) => event.target.closest?.(`#${name}_width, #${name}_height`));
  const match = tab && SIZE.exec(event.clipboardData.getData("text"));
  if (!match) return false;
  for (const [side, value] of [["width", match[1]], ["height", match[2]]]) {
    const input = document.querySelector(`#${tab}_${side} input[type=number]`);
    if (!input) continue;
    type(input, value);
    input.dispatchEvent(new Event("blur"));
  }
  return true;
}

/** A picture from the clipboard into the first empty picture field that is in sight. */
function pastedPicture(event) {
  const file = [...event.clipboardData.files].find((one) => one.type.startsWith("image/"));
  const fields = PICTURES.map((id) => document.getElementById(id)).filter(isVisible);
  if (!file || !fields.length) return false;
  attempt(() => fill(fields.find(isFree) ?? fields[0], file));
  return true;
}

export function watchDrops() {
  document.addEventListener("dragover", (event) => {
    if (!carriesPicture(event.dataTransfer)) return;
    if (promptTabOf(event.target) || fieldOf(event.target)) event.preventDefault();
  }, true);
  document.addEventListener("drop", dropped, true);
  document.addEventListener("paste", (event) => {
    if (!event.clipboardData || !(pastedSize(event) || pastedPicture(event))) return;
    event.preventDefault();
    event.stopPropagation();
  }, true);
}
