/** Pictures over the whole page: arrows, swipe, zoom, Esc. */

import { icon, make, t } from "./dom.js";

const SWIPE = 60;
const MOST = 8;

/**
 * @param {{source: string, alt: string, key: string}[]} pictures
 * @param {string | null} key of the first one shown
 * @param {{select: (key: string) => void, save: () => void}} page what the viewer tells the page
 */
export function openLightbox(pictures, key, page) {
  if (pictures.length) new Lightbox(pictures, key, page).open();
}

class Lightbox {
  constructor(pictures, key, page) {
    this.pictures = pictures;
    this.at = Math.max(0, pictures.findIndex((picture) => picture.key === key));
    this.page = page;
    this.picture = make("img", { draggable: "false" });
    this.count = make("p", { class: "er-lightbox-count", "aria-live": "polite" });
    this.dialog = make("dialog", { class: "er-lightbox", "aria-label": t("lightbox.title") },
      this.picture, this.count, this.bar());
    this.pointers = new Map();
    this.listen();
  }

  bar() {
    const button = (name, label, handler) => make("button", {
      type: "button", class: `er-lightbox-${name}`, "aria-label": label, title: label,
      onclick: handler,
    }, icon(name));
    const isSingle = this.pictures.length < 2;
    return make("div", { class: "er-lightbox-bar" },
      isSingle ? null : button("previous", t("lightbox.previous"), () => this.turn(-1)),
      isSingle ? null : button("next", t("lightbox.next"), () => this.turn(1)),
      button("zoom", t("lightbox.zoom"), () => this.zoomTo(this.zoom > 1 ? 1 : 2)),
      button("save", t("action.save"), () => this.page.save()),
      button("close", t("lightbox.close"), () => this.dialog.close()));
  }

  open() {
    document.body.append(this.dialog);
    this.dialog.addEventListener("close", () => this.dialog.remove());
    this.draw();
    this.dialog.showModal();
  }

  draw() {
    const { source, alt } = this.pictures[this.at];
    this.picture.src = source;
    this.picture.alt = alt;
    this.count.textContent = this.pictures.length > 1
      ? `${this.at + 1} / ${this.pictures.length}` : "";
    this.pan = { x: 0, y: 0 };
    this.zoomTo(1);
  }

  turn(by) {
    const count = this.pictures.length;
    if (count < 2) return;
    this.at = (this.at + by + count) % count;
    this.page.select(this.pictures[this.at].key);
    this.draw();
  }

  zoomTo(zoom) {
    this.zoom = Math.min(MOST, Math.max(1, zoom));
    if (this.zoom === 1) this.pan = { x: 0, y: 0 };
    this.dialog.classList.toggle("is-zoomed", this.zoom > 1);
    const { x, y } = this.pan;
    this.picture.style.transform = this.zoom > 1
      ? `translate(${x}px, ${y}px) scale(${this.zoom})` : "";
  }

  listen() {
    this.dialog.addEventListener("keydown", (event) => this.key(event));
    this.dialog.addEventListener("wheel", (event) => {
      event.preventDefault();
      this.zoomTo(this.zoom * (event.deltaY < 0 ? 1.2 : 1 / 1.2));
    }, { passive: false });
    this.dialog.addEventListener("click", (event) => {
      if (event.target === this.dialog) this.dialog.close();
    });
    this.picture.addEventListener("dblclick", () => this.zoomTo(this.zoom > 1 ? 1 : 2));
    this.picture.addEventListener("pointerdown", (event) => this.press(event));
    this.picture.addEventListener("pointermove", (event) => this.move(event));
    for (const kind of ["pointerup", "pointercancel"]) {
      this.picture.addEventListener(kind, (event) => this.lift(event));
    }
  }

  key(event) {
    const actions = {
      ArrowLeft: () => this.turn(-1), ArrowRight: () => this.turn(1), s: () => this.page.save(),
      "+": () => this.zoomTo(this.zoom * 1.5), "-": () => this.zoomTo(this.zoom / 1.5),
      0: () => this.zoomTo(1),
    };
    if (event.ctrlKey || event.metaKey || event.altKey || !actions[event.key]) return;
    event.preventDefault();
    event.stopPropagation();
    actions[event.key]();
  }

  press(event) {
    this.picture.setPointerCapture(event.pointerId);
    this.pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    this.start = { x: event.clientX, y: event.clientY };
    this.spread = null;
  }

  move(event) {
    const before = this.pointers.get(event.pointerId);
    if (!before) return;
    this.pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    if (this.pointers.size === 2) {
      const [a, b] = [...this.pointers.values()];
      const spread = Math.hypot(a.x - b.x, a.y - b.y);
      if (this.spread) this.zoomTo(this.zoom * (spread / this.spread));
      this.spread = spread;
    } else if (this.zoom > 1) {
      this.pan.x += event.clientX - before.x;
      this.pan.y += event.clientY - before.y;
      this.zoomTo(this.zoom);
    }
  }

  lift(event) {
    const isLast = this.pointers.delete(event.pointerId) && this.pointers.size === 0;
    if (!isLast || this.zoom > 1 || this.spread || event.type === "pointercancel") return;
    const across = event.clientX - this.start.x;
    if (Math.abs(across) > SWIPE) this.turn(across < 0 ? 1 : -1);
  }
}
