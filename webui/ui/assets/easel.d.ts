/** What scripts of users and extensions may rely on; nothing else of the page is promised. */

export type Tab = "txt2img" | "img2img" | "inpaint";

/** A picture that was made: which job's, which of its pictures. */
export interface PictureRef {
  job: string;
  index: number;
}

export interface SelectedPicture extends PictureRef {
  seed: number;
  subseed: number;
  infotext: string;
}

export interface Prompt {
  /** The text; "" while the tab is not drawn yet. */
  get(): string;
  /** Replace the text, as an edit that the browser can undo. */
  set(text: string): void;
  /** Put text in at the caret, or over the selection. */
  insert(text: string): void;
  /** Be told of every edit; the result ends it. */
  onChange(listener: (text: string) => void): () => void;
}

/** `tab` is null for jobs of the API. */
interface JobEvent {
  job: string;
  tab: Tab | null;
}

export interface StepEvent extends JobEvent {
  /** Steps done and to do in this pass. */
  step: number;
  steps: number;
  /** 0-based pass (batch, hires fix) and their number. */
  job_no: number;
  job_count: number;
  /** Of the whole job, 0 to 1. */
  fraction: number;
  eta_seconds: number | null;
  text: string;
}

export interface ImageEvent extends JobEvent {
  index: number;
  kind: "image" | "grid" | "mask" | "mask composite";
  infotext: string;
  seed: number;
  subseed: number;
  width: number;
  height: number;
  /** Below the outputs folder; null: it was not saved. */
  path: string | null;
}

export interface EndEvent extends JobEvent {
  state: "done" | "failed" | "interrupted" | "parked";
  /** A sentence, where it failed. */
  error?: string;
}

export interface JobEvents {
  start: JobEvent;
  step: StepEvent;
  image: ImageEvent;
  end: EndEvent;
}

export interface EaselV1 {
  prompt(tab: Tab, which?: { negative?: boolean }): Prompt;
  job: {
    /** Be told of the jobs that the page follows; the result ends it. */
    on<K extends keyof JobEvents>(kind: K, handler: (event: JobEvents[K]) => void): () => void;
  };
  images: {
    /** Make a picture the first picture of another tab. `picture`: an id of the store. */
    sendTo(tab: "img2img" | "inpaint", picture: (PictureRef & { from?: Tab }) | { picture: string }): Promise<void>;
    /** The picture that is selected in a tab's results. */
    selected(tab: Tab): SelectedPicture | null;
  };
  tabs: {
    /** Switch to a tab: a `Tab`, "pnginfo", "settings", or one of an extension. */
    open(tab: string): Promise<void>;
  };
  settings: {
    /** A setting as it was when the page was served; `otherwise` if the page does not know it. */
    get<T>(key: string, otherwise?: T): T | undefined;
  };
  /** Show a sentence for a few seconds. */
  toast(sentence: string): void;
}

declare global {
  interface Window {
    readonly easel: { readonly v1: EaselV1 };
  }
}
