/** The handle between controls and results: drag, arrow keys, double click; remembered. */

const KEY = "easel.left";
const LEAST = 460;
const LEAST_RIGHT = 320;
const STEP = 24;

function put(pixels) {
  if (pixels === null) document.documentElement.style.removeProperty("--easel-left");
  else document.documentElement.style.setProperty("--easel-left", `${Math.round(pixels)}px`);
}

function remember(pixels) {
  try {
    if (pixels === null) localStorage.removeItem(KEY);
    else localStorage.setItem(KEY, String(Math.round(pixels)));
  } catch {
    // storage is switched off: the width holds until the page is left
  }
}

function remembered() {
  try {
    const pixels = Number(localStorage.getItem(KEY));
    return pixels >= LEAST ? pixels : null;
  } catch {
    return null;
  }
}

function columnsOf(splitter) {
  return document.getElementById(splitter.id.replace(/_splitter$/, "_columns"));
}

function formOf(splitter) {
  return document.getElementById(splitter.id.replace(/_splitter$/, "_form"));
}

function moveTo(splitter, pixels) {
  const room = columnsOf(splitter)?.getBoundingClientRect().width ?? window.innerWidth;
  const width = Math.min(Math.max(pixels, LEAST), Math.max(LEAST, room - LEAST_RIGHT));
  put(width);
  splitter.setAttribute("aria-valuenow", String(Math.round(width)));
  return width;
}

function splitterOf(event) {
  return event.target.closest?.("[role=separator][id$=_splitter]") ?? null;
}

function drag(event) {
  const splitter = splitterOf(event);
  if (!splitter || event.button !== 0) return;
  event.preventDefault();
  splitter.setPointerCapture(event.pointerId);
  const left = formOf(splitter).getBoundingClientRect().left;
  let width = null;
  const move = (moved) => {
    width = moveTo(splitter, moved.clientX - left);
  };
  splitter.addEventListener("pointermove", move);
  splitter.addEventListener("lostpointercapture", () => {
    splitter.removeEventListener("pointermove", move);
    if (width !== null) remember(width);
  }, { once: true });
}

function key(event) {
  const splitter = splitterOf(event);
  const by = { ArrowLeft: -STEP, ArrowRight: STEP }[event.key];
  if (!splitter || !by) return;
  event.preventDefault();
  remember(moveTo(splitter, formOf(splitter).getBoundingClientRect().width + by));
}

/** Say the width of columns that have just been drawn; a separator must have a value. */
function measure() {
  for (const splitter of document.querySelectorAll("[role=separator][id$=_splitter]")) {
    const form = formOf(splitter);
    if (splitter.hasAttribute("aria-valuenow") || !form) continue;
    splitter.setAttribute("aria-valuemin", String(LEAST));
    splitter.setAttribute("aria-valuemax", String(window.screen.width));
    splitter.setAttribute("aria-valuenow", String(Math.round(form.getBoundingClientRect().width)));
  }
}

export function watchSplitters() {
  put(remembered());
  measure();
  new MutationObserver(measure).observe(document.body, { childList: true, subtree: true });
  document.addEventListener("pointerdown", drag);
  document.addEventListener("keydown", key);
  document.addEventListener("dblclick", (event) => {
    if (!splitterOf(event)) return;
    put(null);
    remember(null);
  });
}
