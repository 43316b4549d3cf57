/**
 * Runs before anything is drawn: language and theme, so that the page never shows the wrong one first.
 * Afterwards it fills what Python drew with `data-t`, and serves the header, the dialogs and the
 * Settings tab. Contract: README.md in this folder.
 */
(() => {
  "use strict";
  const EASEL = (window.EASEL = Object.assign({ locales: {}, settings: {}, fields: {} }, window.EASEL));
  const LANGUAGES = ["en", "ko"];
  const THEMES = ["system", "light", "dark"];
  const root = document.documentElement;
  const native = [...navigator.languages];

  const store = {
    get(key) {
      try { return localStorage.getItem(`easel.${key}`); } catch { return null; }
    },
    set(key, value) {
      try { localStorage.setItem(`easel.${key}`, value); } catch { /* private window: lasts for this page */ }
    },
  };

  // --- language ---

  function browserLanguage() {
    const codes = native.map((code) => code.toLowerCase().split("-")[0]);
    return codes.find((code) => LANGUAGES.includes(code)) || "en";
  }

  function chosenLanguage() {
    const own = store.get("language");
    if (LANGUAGES.includes(own)) return own;
    return LANGUAGES.includes(EASEL.language) ? EASEL.language : browserLanguage();
  }

  let language = chosenLanguage();

  function announceLanguage() {
    root.lang = language;
    document.cookie = `easel_language=${language}; path=/; max-age=31536000; SameSite=Lax`;
  }

  // Gradio asks the navigator; the choice in the header must win.
  Object.defineProperty(navigator, "language", { configurable: true, get: () => language });
  Object.defineProperty(navigator, "languages", { configurable: true, get: () => [language, ...native] });
  announceLanguage();

  const words = (code) => ({
    ...(window.gradio_config?.i18n_translations?.[code] || {}),
    ...(EASEL.locales[code] || {}),
  });
  let current = null;

  EASEL.t = (key, params = {}) => {
    current ||= words(language);
    const text = current[key] ?? words("en")[key] ?? key;
    return text.replace(/\{(\w+)\}/g, (whole, name) => (name in params ? String(params[name]) : whole));
  };

  function translate(part) {
    const each = (attribute, set) => {
      if (part.matches?.(`[${attribute}]`)) set(part, part.getAttribute(attribute));
      part.querySelectorAll?.(`[${attribute}]`).forEach((e) => set(e, e.getAttribute(attribute)));
    };
    each("data-t", (element, key) => { element.textContent = EASEL.t(key); });
    each("data-t-label", (element, key) => { element.setAttribute("aria-label", EASEL.t(key)); });
    each("data-t-title", (element, key) => { element.title = EASEL.t(key); });
    each("data-t-placeholder", (element, key) => { element.placeholder = EASEL.t(key); });
    part.querySelectorAll?.("template").forEach((template) => translate(template.content));
    // Gradio's multiple choice has no placeholder of its own
    part.querySelectorAll?.(".easel-tools input[role=combobox]").forEach((input) => {
      input.placeholder = EASEL.t("field.styles");
    });
  }
  EASEL.translate = translate;

  /** Gradio's own store of the locale: the one writable text store among its runtime's exports. */
  async function gradioLocale() {
    const chunks = performance.getEntriesByType("resource").map((entry) => entry.name);
    for (const url of chunks.filter((name) => /\/assets\/runtime-[\w-]+\.js$/.test(name))) {
      for (const candidate of Object.values(await import(url))) {
        if (typeof candidate?.set !== "function" || typeof candidate.subscribe !== "function") continue;
        let value;
        candidate.subscribe((now) => { value = now; })();
        if (typeof value === "string" && LANGUAGES.includes(value.split("-")[0])) return candidate;
      }
    }
    return null;
  }

  EASEL.setLanguage = async (code) => {
    if (!LANGUAGES.includes(code) || code === language) return;
    language = code;
    current = null;
    store.set("language", code);
    announceLanguage();
    const locale = await gradioLocale().catch(() => null);
    if (!locale) {
      location.reload();
      return;
    }
    locale.set(code);
    translate(document.body);
    document.dispatchEvent(new CustomEvent("easel:language", { detail: code }));
    window.easel?.v1?.language?.(code);
  };

  // --- theme ---

  const prefersDark = matchMedia("(prefers-color-scheme: dark)");
  const themeChoice = () => {
    const own = store.get("theme");
    if (THEMES.includes(own)) return own;
    return THEMES.includes(EASEL.theme) ? EASEL.theme : "system";
  };
  const isDark = () => themeChoice() === "dark" || (themeChoice() === "system" && prefersDark.matches);

  function applyTheme() {
    root.dataset.theme = themeChoice();
    root.classList.toggle("easel-dark", isDark());
    document.body?.classList.toggle("dark", isDark());
    document.dispatchEvent(new CustomEvent("easel:theme", { detail: isDark() ? "dark" : "light" }));
  }
  prefersDark.addEventListener("change", applyTheme);
  root.classList.toggle("easel-dark", isDark());
  // Gradio sets the class by the system's preference; ours is the last word.
  const guard = new MutationObserver(() => {
    if (document.body.classList.contains("dark") !== isDark()) document.body.classList.toggle("dark", isDark());
  });

  EASEL.setTheme = (theme) => {
    store.set("theme", theme);
    applyTheme();
  };

  // --- settings that the browser needs ---

  EASEL.apply = (settings) => {
    const first = Object.keys(EASEL.settings).length === 0;
    const before = EASEL.settings;
    Object.assign((EASEL.settings = {}), settings);
    EASEL.theme = settings.theme;
    if (!first && before.theme !== settings.theme) store.set("theme", settings.theme);
    applyTheme();
    EASEL.language = settings.localization;
    if (!first && before.localization !== settings.localization) {
      store.set("language", settings.localization);
      EASEL.setLanguage(settings.localization === "Browser" ? browserLanguage() : settings.localization);
    } else if (!store.get("language")) {
      EASEL.setLanguage(chosenLanguage());
    }
    document.dispatchEvent(new CustomEvent("easel:settings", { detail: settings }));
  };

  /** Show a note that Python made. */
  EASEL.say = (text) => {
    if (text) window.easel?.v1?.toast?.(JSON.parse(text).text);
  };

  // --- header, dialogs, Settings tab ---

  /** Put a value into a hidden field of Python's, as if it had been typed. */
  function send(id, value) {
    const field = document.querySelector(`#${id} textarea, #${id} input`);
    if (!field) return;
    field.value = JSON.stringify({ ...value, nonce: Date.now() + Math.random() });
    field.dispatchEvent(new Event("input", { bubbles: true }));
  }

  const clicks = {
    easel_language: () => EASEL.setLanguage(language === "en" ? "ko" : "en"),
    easel_theme: () => EASEL.setTheme(isDark() ? "light" : "dark"),
    easel_menu: (button) => {
      const open = button.getAttribute("aria-expanded") !== "true";
      button.setAttribute("aria-expanded", String(open));
    },
  };

  document.addEventListener("click", (event) => {
    const target = event.target instanceof Element ? event.target : null;
    const button = target?.closest("button");
    const generates = button?.id.match(/^(txt2img|img2img|inpaint)_generate$/);
    if (generates) window.easel?.v1?.submitting?.(generates[1]);
    if (button && clicks[button.id]) clicks[button.id](button);
    const reset = target?.closest("[data-reset]");
    if (reset) send("settings_command", { do: "reset", key: reset.dataset.reset });
    const menu = document.getElementById("easel_menu");
    if (menu && !target?.closest(".easel-header-tools")) menu.setAttribute("aria-expanded", "false");
    if (target?.matches(".easel-dialog")) closeDialog(target);
  });

  function closeDialog(dialog) {
    dialog.querySelector(".easel-dialog-head button")?.click();
  }

  function openDialog() {
    return [...document.querySelectorAll(".easel-dialog")].find((e) => e.getClientRects().length > 0);
  }

  document.addEventListener("keydown", (event) => {
    const dialog = openDialog();
    if (event.key !== "Escape" || !dialog) return;
    event.stopImmediatePropagation();
    closeDialog(dialog);
  }, true);

  // Buttons that show an icon only, and labels with an explanation: their words as a tooltip.
  document.addEventListener("pointerover", (event) => {
    const button = event.target instanceof Element ? event.target.closest("button.easel-tool") : null;
    if (button) button.title = button.textContent.trim();
  });

  EASEL.filterSettings = (query) => {
    const wanted = query.trim().toLowerCase();
    document.querySelectorAll(".easel-settings-section").forEach((section) => {
      let found = 0;
      section.querySelectorAll(".easel-setting").forEach((row) => {
        const key = row.querySelector("[data-reset]")?.dataset.reset || "";
        const shown = !wanted || `${row.textContent} ${key}`.toLowerCase().includes(wanted);
        row.classList.toggle("easel-filtered", !shown);
        found += shown ? 1 : 0;
      });
      section.classList.toggle("easel-filtered", found === 0);
    });
  };

  EASEL.markSettings = (keys) => {
    const changed = new Set(keys.split(" "));
    document.querySelectorAll("[data-reset]").forEach((button) => {
      button.hidden = !changed.has(button.dataset.reset);
    });
  };

  /** Gradio may have asked for the browser's language before this script ran. */
  async function correctLanguage() {
    const locale = await gradioLocale().catch(() => null);
    if (!locale) return;
    let asked;
    locale.subscribe((now) => { asked = now; })();
    if (asked !== language) locale.set(language);
  }

  function start() {
    correctLanguage();
    applyTheme();
    guard.observe(document.body, { attributes: true, attributeFilter: ["class"] });
    translate(document.body);
    new MutationObserver((records) => {
      for (const record of records) {
        for (const node of record.addedNodes) if (node.nodeType === 1) translate(node);
      }
    }).observe(document.body, { childList: true, subtree: true });
  }
  if (document.body) start();
  else document.addEventListener("DOMContentLoaded", start);
})();
