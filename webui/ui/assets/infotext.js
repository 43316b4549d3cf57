/** Splitting a picture's infotext for display; the server's parser decides what is restored. */

const PAIR = /\s*([\w][\w \-/]+):\s*("(?:\\.|[^\\"])+"|[^,]*)(?:,|$)/g;
const NEGATIVE = "Negative prompt:";

function pairsOf(line) {
  const pairs = [...line.matchAll(PAIR)].map(([, key, value]) => [key.trim(), unquoted(value)]);
  return pairs.length >= 3 ? pairs : [];
}

function unquoted(value) {
  if (!value.startsWith('"')) return value.trim();
  try {
    return JSON.parse(value);
  } catch {
    return value;
  }
}

/** @returns {{prompt: string, negative: string, pairs: [string, string][]}} */
export function readInfotext(text) {
  const lines = text.trim().split("\n");
  const pairs = pairsOf(lines[lines.length - 1] ?? "");
  if (pairs.length) lines.pop();
  const at = lines.findIndex((line) => line.startsWith(NEGATIVE));
  const prompt = (at < 0 ? lines : lines.slice(0, at)).join("\n").trim();
  const negative = at < 0 ? "" : lines.slice(at).join("\n").slice(NEGATIVE.length).trim();
  return { prompt, negative, pairs };
}
