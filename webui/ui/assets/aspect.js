/**
 * While width or height is changed in img2img or inpaint, a frame over the first picture shows which part of it
 * has the result's ratio.
 */

const SHOWN_MILLISECONDS = 1500;
const frame = document.createElement("div");
frame.className = "easel-aspect";
frame.setAttribute("aria-hidden", "true");
let timer = 0;

/** The picture on the open sub-tab, as it stands on the screen. */
function pictureBox(tab) {
  const pictures = document.querySelectorAll(`#mode_${tab} .easel-picture :is(img, canvas)`);
  const shown = [...pictures].find((picture) => picture.getClientRects().length > 0);
  if (!(shown instanceof HTMLImageElement) || !shown.naturalWidth) return null;
  const box = shown.getBoundingClientRect();
  const largest = getComputedStyle(shown).objectFit === "scale-down" ? 1 : Infinity;
  const scale = Math.min(box.width / shown.naturalWidth, box.height / shown.naturalHeight, largest);
  const width = shown.naturalWidth * scale;
  const height = shown.naturalHeight * scale;
  return { left: box.left + (box.width - width) / 2, top: box.top + (box.height - height) / 2, width, height };
}

function side(tab, name) {
  return Number(document.querySelector(`#${tab}_${name} input[type=number]`)?.value);
}

function show(tab) {
  const box = pictureBox(tab);
  const ratio = side(tab, "width") / side(tab, "height");
  if (!box || !Number.isFinite(ratio) || ratio <= 0) return;
  const width = Math.min(box.width, box.height * ratio);
  const height = Math.min(box.height, box.width / ratio);
  Object.assign(frame.style, {
    left: `${box.left + (box.width - width) / 2}px`,
    top: `${box.top + (box.height - height) / 2}px`,
    width: `${width}px`,
    height: `${height}px`,
  });
  if (!frame.isConnected) document.body.append(frame);
  frame.classList.add("is-shown");
  clearTimeout(timer);
  timer = setTimeout(() => frame.classList.remove("is-shown"), SHOWN_MILLISECONDS);
}

document.addEventListener("input", (event) => {
  const control = event.target instanceof Element ? event.target.closest("[id$=_width], [id$=_height]") : null;
  const found = control?.id.match(/^(img2img|inpaint)_(width|height)$/);
  if (found) show(found[1]);
});
