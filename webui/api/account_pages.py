"""The pages /login and /account: plain HTML, as calm as the page itself."""

from __future__ import annotations

import functools
import html
import json
from collections.abc import Mapping
from pathlib import Path

_LOCALES = Path(__file__).parent / "locales"
_STYLE = """
:root { color-scheme: light dark;
  --background: light-dark(#f7f7f8, #17171a); --surface: light-dark(#fff, #1e1e22);
  --field: light-dark(#fff, #212126); --line: light-dark(#c9c9cf, #46464f);
  --soft-line: light-dark(#e3e3e7, #303036);
  --text: light-dark(#1d1d21, #ececf0); --muted: light-dark(#5f5f69, #a5a5b0);
  --accent: light-dark(#3451c6, #93a7ff); --fill: light-dark(#3451c6, #4a66dc);
  --hover: light-dark(#2a43a8, #5a75e6); --danger: light-dark(#b3261e, #ff8f85);
  --soft: light-dark(#e7ebfb, #2a3152); }
* { box-sizing: border-box; }
body { margin: 0; min-height: 100dvh; display: grid; place-items: center; padding: 24px 16px;
  background: var(--background); color: var(--text);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans",
    "Apple SD Gothic Neo", "Malgun Gothic", "Noto Sans KR", sans-serif; }
main { width: 100%; max-width: 360px; background: var(--surface); border-radius: 10px;
  border: 1px solid var(--soft-line); padding: 28px; }
main.wide { max-width: 560px; }
.name { font-weight: 600; color: var(--muted); margin: 0 0 4px; }
h1 { font-size: 22px; line-height: 1.25; letter-spacing: -.01em; margin: 0 0 20px; }
h2 { font-size: 16px; margin: 28px 0 4px; }
p { margin: 0 0 16px; } .muted { color: var(--muted); }
label { display: block; font-weight: 500; margin: 0 0 16px; }
input { display: block; width: 100%; height: 40px; margin-top: 4px; padding: 0 12px; font: inherit;
  color: inherit; background: var(--field); border: 1px solid var(--line); border-radius: 6px; }
button { flex: none; height: 40px; padding: 0 18px; border-radius: 6px; white-space: nowrap;
  font: inherit; font-weight: 600;
  border: 1px solid transparent; background: var(--fill); color: #fff; cursor: pointer; }
button:hover { background: var(--hover); }
button.plain { background: none; border-color: var(--line); color: var(--text); font-weight: 500; }
button.plain:hover { border-color: var(--accent); }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 1px; }
a { color: var(--accent); }
.full { width: 100%; }
.error { color: var(--danger); margin: 0 0 16px; }
.row { display: flex; gap: 12px; align-items: end; flex-wrap: wrap; }
.row label { flex: 1 1 200px; margin: 0; }
.head { justify-content: space-between; align-items: center; margin-bottom: 20px; }
.head h1 { margin: 0; }
ul { list-style: none; margin: 0 0 16px; padding: 0; }
li { display: flex; gap: 12px; align-items: center; justify-content: space-between;
  padding: 8px 0; border-bottom: 1px solid var(--soft-line); overflow-wrap: anywhere; }
code { font: 13px/1.5 ui-monospace, monospace; overflow-wrap: anywhere; }
#secret { background: var(--soft); border-radius: 6px; padding: 12px; margin: 16px 0; }
#secret code { display: block; margin-top: 6px; user-select: all; }
[hidden] { display: none !important; }
"""
_KEYS_SCRIPT = """
const words = JSON.parse(document.getElementById("words").textContent);
const list = document.getElementById("keys");
const address = "./api/v1/account/keys";
async function show() {
  const keys = await (await fetch(address)).json();
  list.replaceChildren(...keys.map((key) => {
    const row = document.createElement("li");
    const text = document.createElement("span");
    const hint = document.createElement("code");
    hint.textContent = `${key.hint}…`;
    text.append(key.label, " ", hint);
    const button = document.createElement("button");
    button.type = "button"; button.className = "plain";
    button.textContent = words.delete;
    button.setAttribute("aria-label", `${words.delete}: ${key.label}`);
    button.addEventListener("click", async () => {
      await fetch(`${address}/${key.id}`, { method: "DELETE" });
      await show();
    });
    row.append(text, button);
    return row;
  }));
  document.getElementById("none").hidden = keys.length > 0;
}
document.getElementById("create").addEventListener("submit", async (event) => {
  event.preventDefault();
  const field = event.target.elements.label;
  const body = JSON.stringify({ label: field.value });
  const headers = { "Content-Type": "application/json" };
  const answer = await fetch(address, { method: "POST", body, headers });
  const made = await answer.json();
  const note = document.getElementById("problem");
  note.textContent = answer.ok ? "" : made.errors;
  note.hidden = answer.ok;
  if (!answer.ok) return;
  document.querySelector("#secret code").textContent = made.secret;
  document.getElementById("secret").hidden = false;
  field.value = "";
  await show();
});
show();
"""


@functools.cache
def _words(language: str) -> Mapping[str, str]:
    loaded: dict[str, str] = json.loads((_LOCALES / f"{language}.json").read_text("utf-8"))
    return {key: html.escape(text) for key, text in loaded.items()}


def login_page(target: str, language: str, *, failed: bool, wait: int | None = None) -> str:
    """The form for name and password.

    Args:
        target: where to go on afterwards.
        wait: seconds until the next try, where there were too many.
    """
    words = _words(language)
    error = words["login.failed"] if failed else ""
    if wait is not None:
        error = words["login.wait"].format(seconds=wait)
    note = f'<p class="error" role="alert">{error}</p>' if error else ""
    return _document(
        language,
        words["login.title"],
        f'<main><p class="name">Easel</p><h1>{words["login.title"]}</h1>{note}'
        '<form method="post" action="./login">'
        f'<input type="hidden" name="next" value="{html.escape(target)}">'
        f'<label>{words["login.name"]}<input name="username" autocomplete="username" '
        'autocapitalize="none" spellcheck="false" required autofocus></label>'
        f'<label>{words["login.password"]}<input name="password" type="password" '
        'autocomplete="current-password" required></label>'
        f'<button class="full">{words["login.button"]}</button></form></main>',
    )


def account_page(name: str, is_admin: bool, has_users: bool, language: str) -> str:
    """Who is logged in, and their API keys."""
    words = _words(language)
    back = f'<p><a href="./">{words["account.back"]}</a></p>'
    if not has_users:
        body = f"<h1>{words['account.title']}</h1><p>{words['account.local']}</p>{back}"
        return _document(language, words["account.title"], f'<main class="wide">{body}</main>')
    role = words["account.role.admin" if is_admin else "account.role.user"]
    texts = json.dumps({"delete": html.unescape(words["account.delete"])}).replace("<", "\\u003c")
    return _document(
        language,
        words["account.title"],
        f'<main class="wide"><div class="row head"><div><p class="name">{role}</p>'
        f"<h1>{html.escape(name)}</h1></div>"
        '<form method="post" action="./logout">'
        f'<button class="plain">{words["account.logout"]}</button></form></div>{back}'
        f'<h2>{words["account.keys"]}</h2><p class="muted">{words["account.keys.about"]}</p>'
        f'<p id="none" class="muted" hidden>{words["account.keys.none"]}</p><ul id="keys"></ul>'
        f'<form id="create" class="row"><label>{words["account.label"]}'
        f'<input name="label" maxlength="100" required></label>'
        f"<button>{words['account.create']}</button></form>"
        '<p id="problem" class="error" role="alert" hidden></p>'
        f'<div id="secret" role="status" hidden>{words["account.secret"]}<code></code></div>'
        f'</main><script type="application/json" id="words">{texts}</script>'
        f"<script>{_KEYS_SCRIPT}</script>",
    )


def _document(language: str, title: str, body: str) -> str:
    return (
        f'<!doctype html><html lang="{language}"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Easel: {title}</title><style>{_STYLE}</style></head><body>{body}</body></html>"
    )
