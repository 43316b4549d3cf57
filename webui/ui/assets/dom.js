/** Making and finding elements. Text goes in as text nodes, never as markup. */

const SVG = "http://www.w3.org/2000/svg";

/**
 * Make an element. `attributes`: strings are set, true sets an empty attribute, false, null and
 * undefined set none, functions under "on…" become listeners.
 */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) {
      element.setAttribute(name, String(value));
    }
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

const PATHS = {
  picture: "M3 4h14v12H3zM3 13l4-4 4 4 2-2 4 4M13.5 7.5h.01",
  brush: "M16 3l-7 7M9 10l1 1c1 1 .5 3-1 4-2 1.200-5 1-5 1s1-1 1-3c0-2 2-4 4-2z",
  save: "M10 3v9M6 8.500l4 4 4-4M4 16h12",
  zip: "M4 3h12v14H4zM10 3v2M10 7v2M10 11v3",
  delete: "M4 6h12M8 6V4h4v2M6 6l1 11h6l1-11",
  seed: "M4 10a6 6 0 0 1 10.500-4M16 10a6 6 0 0 1-10.500 4M15 3v3h-3M5 17v-3h3",
  previous: "M12 4l-6 6 6 6",
  next: "M8 4l6 6-6 6",
  close: "M5 5l10 10M15 5L5 15",
  zoom: "M9 4a5 5 0 1 0 0 10A5 5 0 0 0 9 4zM13 13l4 4M7 9h4M9 7v4",
  copy: "M7 7h9v10H7zM4 13V3h9",
};

/** A line drawing in the text's colour. */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  const attributes = {
    viewBox: "0 0 20 20", width: "16", height: "16", fill: "none", stroke: "currentColor",
    "stroke-width": "1.6", "stroke-linecap": "round", "stroke-linejoin": "round",
    "aria-hidden": "true",
  };
  for (const [key, value] of Object.entries(attributes)) svg.setAttribute(key, value);
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", PATHS[name]);
  svg.append(path);
  return svg;
}

/** Wait until an element is in the document; rejects after `milliseconds`. */
export function appears(selector, milliseconds = 10000) {
  const found = document.querySelector(selector);
  if (found) return Promise.resolve(found);
  return new Promise((resolve, reject) => {
    const observer = new MutationObserver(() => {
      const element = document.querySelector(selector);
      if (element) finish(() => resolve(element));
    });
    const timer = setTimeout(() => finish(() => reject(new Error(`no ${selector}`))), milliseconds);
    function finish(settle) {
      observer.disconnect();
      clearTimeout(timer);
      settle();
    }
    observer.observe(document.documentElement, { childList: true, subtree: true });
  });
}

/** Whether an element takes up room on the page. */
export function isVisible(element) {
  return Boolean(element) && element.getClientRects().length > 0;
}

/** Give a field a value as if it had been typed: the framework's own setter, then the events. */
export function type(field, value) {
  const prototype = field instanceof HTMLTextAreaElement
    ? HTMLTextAreaElement.prototype : HTMLInputElement.prototype;
  Object.getOwnPropertyDescriptor(prototype, "value").set.call(field, String(value));
  field.dispatchEvent(new Event("input", { bubbles: true }));
  field.dispatchEvent(new Event("change", { bubbles: true }));
}

/** The sentence for a key in the page's language. */
export function t(key, params) {
  return window.EASEL.t(key, params);
}

/** A setting as it was when the page was served. */
export function setting(key, otherwise) {
  const value = window.EASEL?.settings?.[key];
  return value === undefined ? otherwise : value;
}

/** Text into the clipboard, also where the page is not served from a secure origin. */
export async function copyText(text) {
  if (navigator.clipboard && window.isSecureContext) {
    await navigator.clipboard.writeText(text);
    return;
  }
  const area = make("textarea", { readonly: true, style: "position:fixed;opacity:0" });
  area.value = text;
  document.body.append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
}
