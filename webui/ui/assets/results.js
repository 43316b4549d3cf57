/** `<easel-results data-tab="txt2img">`: progress, live preview, pictures, what can be done with them. */

import { copyText, icon, make, setting, t } from "./dom.js";
import { stateOf, tabs } from "./generate.js";
import { readInfotext } from "./infotext.js";
import { openLightbox } from "./lightbox.js";
import { toast } from "./messages.js";
import { address, pictureAddress, post, remove } from "./server.js";
import { command, show } from "./tabs.js";

const THUMB = 256;
const MAX_ALT = 150;

/** "1:05" or "12 s". */
export function duration(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return t("job.seconds", { n: whole });
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

/** The line under the progress bar. */
export function progressText(job) {
  if (job.state === "queued") {
    return job.position > 1 ? t("job.waiting_at", { n: job.position }) : t("job.waiting");
  }
  if (job.state === "loading") {
    return job.text ? t("job.loading_what", { what: job.text }) : t("job.loading");
  }
  const parts = [];
  if (job.steps) parts.push(t("job.step", { step: job.step, steps: job.steps }));
  if (job.passes > 1) parts.push(t("job.pass", { pass: job.pass + 1, passes: job.passes }));
  parts.push(`${Math.floor(job.fraction * 100)} %`);
  if (job.eta !== null && job.eta !== undefined) {
    parts.push(t("job.eta", { time: duration(job.eta) }));
  }
  return parts.join(" · ");
}

function keyOf(image) {
  return `${image.job}/${image.index}`;
}

function altText(image) {
  const { prompt } = readInfotext(image.infotext || "");
  return prompt ? prompt.slice(0, MAX_ALT) : t("results.picture", { n: image.index + 1 });
}

class EaselResults extends HTMLElement {
  connectedCallback() {
    this.tab = this.dataset.tab;
    this.selected = null;
    this.listen = (event) => {
      if (event.detail.tab === this.tab) this.draw();
    };
    this.relabel = () => {
      this.parts = null;
      this.draw();
    };
    tabs.addEventListener("change", this.listen);
    document.addEventListener("easel:language", this.relabel);
    this.draw();
  }

  disconnectedCallback() {
    tabs.removeEventListener("change", this.listen);
    document.removeEventListener("easel:language", this.relabel);
    this.parts = null;
  }

  /** The pictures that are shown, in the order in which they were made. */
  get images() {
    return stateOf(this.tab).shown.flatMap((view) => [...view.images.values()]
      .filter((image) => !image.isGone).sort((a, b) => a.index - b.index));
  }

  get image() {
    const images = this.images;
    return images.find((image) => keyOf(image) === this.selected) ?? images[0] ?? null;
  }

  /** What `easel.v1.selected(tab)` gives. */
  get selection() {
    const image = this.image;
    return image && {
      job: image.job, index: image.index, seed: image.seed, subseed: image.subseed,
      infotext: image.infotext,
    };
  }

  build() {
    this.replaceChildren();
    const part = (tag, className, attributes = {}, ...children) => {
      const element = make(tag, { class: className, ...attributes }, ...children);
      this.append(element);
      return element;
    };
    this.parts = {
      empty: part("div", "er-empty"),
      stage: part("div", "er-stage"),
      progress: part("div", "er-progress", {
        role: "progressbar", "aria-valuemin": 0, "aria-valuemax": 100,
        "aria-label": t("results.progress"),
      }),
      progressText: part("p", "er-progress-text"),
      error: part("p", "er-error", { role: "alert" }),
      thumbs: part("div", "er-thumbs", { role: "group", "aria-label": t("results.pictures") }),
      actions: part("div", "er-actions", { role: "group", "aria-label": t("results.actions") }),
      note: part("ul", "er-note", { "aria-label": t("results.notes") }),
      info: part("div", "er-info"),
    };
    this.drawEmpty();
    this.drawActions();
    this.drawn = {};
  }

  draw() {
    if (!this.isConnected) return;
    if (!this.parts) this.build();
    const state = stateOf(this.tab);
    const job = state.job;
    if (this.shown !== state.shown) Object.assign(this, { shown: state.shown, selected: null });
    const isActive = Boolean(job) && !job.isOver;
    const phase = state.phase === "sent" && !isActive ? "queued" : this.phaseOf(job);
    if (this.dataset.state !== phase) this.dataset.state = phase;
    this.parts.empty.hidden = phase !== "empty";
    this.drawProgress(job, isActive, phase);
    this.drawError(job);
    this.drawStage(state, isActive);
    this.drawThumbs();
    this.parts.actions.hidden = !this.image;
    this.drawNotes(state.shown);
    this.drawInfo();
  }

  phaseOf(job) {
    if (!job) return "empty";
    if (job.state === "parked") return "failed";
    const hasNothing = job.isOver && job.state !== "failed" && !this.images.length;
    return hasNothing ? "empty" : job.state;
  }

  drawEmpty() {
    const template = document.querySelector(`[data-easel-empty="${this.tab}"]`);
    if (!(template instanceof HTMLTemplateElement)) return;
    this.parts.empty.replaceChildren(template.content.cloneNode(true));
  }

  drawProgress(job, isActive, phase) {
    const { progress, progressText: text } = this.parts;
    const isShown = isActive || phase === "queued";
    const words = isActive ? progressText(job) : isShown ? t("job.sending") : "";
    const fraction = isActive && job.state !== "queued" ? job.fraction : 0;
    progress.style.setProperty("--er-progress", String(fraction));
    progress.setAttribute("aria-valuenow", String(Math.round(fraction * 100)));
    progress.setAttribute("aria-valuetext", words);
    progress.classList.toggle("is-idle", !isShown);
    if (text.textContent !== words) text.textContent = words;
  }

  drawError(job) {
    const { error } = this.parts;
    const words = job && (job.state === "failed" || job.state === "parked")
      ? job.error || t("job.failed") : "";
    error.hidden = !words;
    if (error.textContent !== words) error.textContent = words;
  }

  /** The big picture: the live preview while there is one, else the selected picture. */
  drawStage(state, isActive) {
    const { stage } = this.parts;
    const image = this.image;
    const preview = isActive && setting("live_previews_enable", true) ? state.job.preview : null;
    const source = preview ?? (image && pictureAddress(image.job, image.index));
    stage.classList.toggle("is-preview", Boolean(preview));
    stage.classList.toggle("is-old", isActive && state.shown !== state.made);
    if (!source) {
      stage.replaceChildren();
      this.drawn.source = null;
      return;
    }
    if (this.drawn.source === source) return;
    this.drawn.source = source;
    if (image && !preview) stage.style.setProperty("--er-ratio", `${image.width} / ${image.height}`);
    this.putPicture(source, preview ? t("results.preview") : altText(image), Boolean(preview));
  }

  /** Change the picture in place, once the new one is decoded: nothing flashes, nothing jumps. */
  putPicture(source, alt, isPreview) {
    const { stage } = this.parts;
    const next = make("img", { src: source, alt, class: isPreview ? "er-preview" : "er-picture" });
    if (!isPreview) {
      next.draggable = true;
      next.addEventListener("error", () => this.lost());
    }
    const button = make("button", {
      type: "button", class: "er-open", "aria-label": t("results.open"), disabled: isPreview,
      onclick: () => this.open(),
    }, next);
    const put = () => {
      if (this.drawn?.source !== source) return;
      if (isPreview && next.naturalWidth) {
        stage.style.setProperty("--er-ratio", `${next.naturalWidth} / ${next.naturalHeight}`);
      }
      stage.replaceChildren(button);
    };
    next.decode().then(put, put);
  }

  /** The server has this picture no more. */
  lost() {
    const image = this.image;
    if (!image) return;
    image.isGone = true;
    this.draw();
  }

  drawThumbs() {
    const images = this.images;
    const key = images.map(keyOf).join();
    const current = this.image && keyOf(this.image);
    if (this.drawn.thumbs !== key) {
      this.drawn.thumbs = key;
      this.parts.thumbs.replaceChildren(...images.map((image, i) => this.thumb(image, i)));
    }
    this.parts.thumbs.hidden = images.length < 2;
    for (const button of this.parts.thumbs.children) {
      button.setAttribute("aria-pressed", String(button.dataset.key === current));
    }
  }

  thumb(image, place) {
    return make("button", {
      type: "button", class: "er-thumb", "data-key": keyOf(image), "aria-pressed": "false",
      "aria-label": t("results.picture", { n: place + 1 }),
      onclick: () => this.select(keyOf(image)),
    }, make("img", {
      src: pictureAddress(image.job, image.index, THUMB), alt: "", width: image.width,
      height: image.height, loading: "lazy",
    }));
  }

  select(key) {
    this.selected = key;
    this.draw();
  }

  drawActions() {
    const action = (name, id, handler) => make("button", {
      type: "button", class: "er-action", id, "data-action": name, onclick: handler,
    }, icon(ICONS[name]), make("span", {}, t(`action.${name}`)));
    const tab = this.tab;
    this.parts.actions.replaceChildren(
      action("to_img2img", `${tab}_send_to_img2img`, () => this.send("img2img")),
      action("to_inpaint", `${tab}_send_to_inpaint`, () => this.send("inpaint")),
      action("reuse_seed", null, () => this.reuseSeed()),
      action("save", `save_${tab}`, () => this.save()),
      action("zip", `save_zip_${tab}`, () => this.zip()),
      action("delete", null, () => this.deletePicture()),
    );
  }

  drawNotes(shown) {
    const warnings = [...new Set(shown.flatMap((view) => view.warnings))];
    const key = warnings.join("\n");
    this.parts.note.hidden = !warnings.length;
    if (this.drawn.notes === key) return;
    this.drawn.notes = key;
    this.parts.note.replaceChildren(...warnings.map((text) => make("li", {}, text)));
  }

  drawInfo() {
    const text = this.image?.infotext ?? "";
    this.parts.info.hidden = !text;
    if (this.drawn.info === text) return;
    this.drawn.info = text;
    this.parts.info.replaceChildren(...(text ? [infoTable(text), copyButton(text)] : []));
  }

  open() {
    const pictures = this.images.map((image) => ({
      source: pictureAddress(image.job, image.index), alt: altText(image), key: keyOf(image),
    }));
    openLightbox(pictures, this.selected, {
      select: (key) => this.select(key), save: () => this.save(),
    });
  }

  send(target) {
    const selection = this.selection;
    if (selection) sendTo(target, { ...selection, from: this.tab });
  }

  async reuseSeed() {
    if (this.selection) await command(this.tab, { do: "seed", seed: this.selection.seed });
  }

  /** Indexes of the pictures of the selected one's job that are no grids or masks. */
  get plain() {
    const { job } = this.image;
    const own = this.images.filter((image) => image.job === job);
    const plain = own.filter((image) => image.kind === "image");
    return (plain.length ? plain : own).map((image) => image.index);
  }

  /** Save the selected picture; of a grid all pictures. */
  async save() {
    const { job, index, kind } = this.image;
    const indexes = kind === "grid" ? this.plain : [index];
    await this.attempt(async () => {
      const answer = await post(`internal/jobs/${encodeURIComponent(job)}/save`, { indexes });
      toast(t("results.saved", { files: answer.files.join(", ") }));
    });
  }

  zip() {
    const path = `internal/jobs/${encodeURIComponent(this.image.job)}/zip`;
    const link = make("a", { href: address(`${path}?indexes=${this.plain.join()}`), download: true });
    document.body.append(link);
    link.click();
    link.remove();
  }

  async deletePicture() {
    if (!window.easel.v1.confirm(t("results.delete_question"))) return;
    const image = this.image;
    await this.attempt(async () => {
      await remove(`internal/jobs/${encodeURIComponent(image.job)}/images/${image.index}`);
      image.isGone = true;
      this.selected = null;
      this.draw();
    });
  }

  async attempt(doing) {
    try {
      await doing();
    } catch (error) {
      toast(error instanceof TypeError ? t("server.unreachable") : error.message);
    }
  }
}

const ICONS = {
  to_img2img: "picture", to_inpaint: "brush", reuse_seed: "seed", save: "save", zip: "zip",
  delete: "delete",
};

function infoTable(text) {
  const { prompt, negative, pairs } = readInfotext(text);
  const row = (key, value, className) => make("tr", { class: className },
    make("th", { scope: "row" }, key), make("td", {}, value));
  return make("table", {},
    make("tbody", {},
      prompt ? row(t("info.prompt"), prompt, "er-info-prompt") : null,
      negative ? row(t("info.negative"), negative, "er-info-prompt") : null,
      ...pairs.map(([key, value]) => row(key, value, null))));
}

function copyButton(text) {
  return make("button", {
    type: "button", class: "er-copy",
    onclick: async () => {
      await copyText(text);
      toast(t("info.copied"));
    },
  }, icon("copy"), make("span", {}, t("info.copy")));
}

/** Hand a picture to another tab: `{job, index, from}` or `{picture}` (an id of the store). */
export async function sendTo(target, { job, index, from, picture }) {
  await show(target);
  await command(target, picture
    ? { do: "receive", picture } : { do: "receive", job, index, from });
}

/** `easel.v1.selected(tab)`. */
export function selected(tab) {
  const element = document.querySelector(`easel-results[data-tab="${tab}"]`);
  return element?.selection ?? null;
}

/** An example prompt was clicked: write it. */
export function watchExamples(write) {
  document.addEventListener("click", (event) => {
    const button = event.target.closest?.("easel-results [data-prompt]");
    if (button) write(button.closest("easel-results").dataset.tab, button.dataset.prompt);
  });
}

export function defineResults() {
  customElements.define("easel-results", EaselResults);
}
