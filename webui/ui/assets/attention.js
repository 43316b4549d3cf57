/**
 * Editing weights and order in a prompt. Pure functions: text and selection in, text and selection
 * out, or null where there is nothing to do.
 *
 * Ctrl+Up/Down takes the selection, else the enclosing <…>, (…) or […], else the word; it becomes
 * (text:1.1), (text:1.2), … A network's <kind:name:weight> changes in its own steps. Old ((text))
 * and [text] become numbers: 1.1 to the power of the number of brackets. At exactly 1 the round
 * brackets go.
 */

const CLOSING = { "<": ">", "(": ")", "[": "]" };
const WHITE = " \t\r\n";

/** Delimiters of words beside those of the setting. */
const LINE = "\t\r\n";

/**
 * @param {{text: string, start: number, end: number}} field
 * @param {1 | -1} direction
 * @param {{attention: number, extra: number, delimiters: string}} options steps and word delimiters
 */
export function editAttention({ text, start, end }, direction, options) {
  const target = start === end ? enclosed(text, start, options.delimiters) : trimmed(text, start, end);
  if (!target) return null;
  return reweighed(text, target.start, target.end, direction, options);
}

function trimmed(text, start, end) {
  while (end > start && WHITE.includes(text[end - 1])) end -= 1;
  while (start < end && WHITE.includes(text[start])) start += 1;
  return start < end ? { start, end } : null;
}

function enclosed(text, at, delimiters) {
  for (const opening of "<([") {
    const block = enclosingBlock(text, at, opening);
    if (block) return block;
  }
  return word(text, at, delimiters + LINE);
}

/** What stands inside the innermost block of a kind around a place, without its weight. */
function enclosingBlock(text, at, opening) {
  const first = unmatched(text, at - 1, -1, opening, CLOSING[opening]);
  const last = unmatched(text, at, 1, CLOSING[opening], opening);
  if (first < 0 || last < 0) return null;
  const content = text.slice(first + 1, last);
  if (opening === "[" && /[:|]/.test(content)) return null; // [from:to:when] and [a|b] bear no weight
  const colon = content.lastIndexOf(":");
  const end = colon < 0 || !isNumber(content.slice(colon + 1)) ? last : first + 1 + colon;
  return end > first + 1 ? { start: first + 1, end } : null;
}

/** Place of the first `wanted` bracket whose partner is not passed on the way; -1 if none. */
function unmatched(text, at, direction, wanted, partner) {
  let depth = 0;
  for (let i = at; i >= 0 && i < text.length; i += direction) {
    if (isEscaped(text, i)) continue;
    if (text[i] === wanted && depth === 0) return i;
    if (text[i] === wanted) depth -= 1;
    else if (text[i] === partner) depth += 1;
  }
  return -1;
}

function isEscaped(text, at) {
  let slashes = 0;
  while (text[at - 1 - slashes] === "\\") slashes += 1;
  return slashes % 2 === 1;
}

function word(text, at, delimiters) {
  let start = at;
  let end = at;
  while (start > 0 && !delimiters.includes(text[start - 1])) start -= 1;
  while (end < text.length && !delimiters.includes(text[end])) end += 1;
  return start < end ? { start, end } : null;
}

function isNumber(text) {
  return /^\s*[-+]?(\d+\.?\d*|\.\d+)\s*$/.test(text);
}

function reweighed(text, start, end, direction, options) {
  const before = text[start - 1];
  if (before === "<") return network(text, start, end, direction, options.extra);
  if (before === "(" && text[end] === ":") {
    const close = text.indexOf(")", end);
    const number = text.slice(end + 1, close);
    if (close > 0 && isNumber(number)) {
      const weight = Number(number) + direction * options.attention;
      return wrapped(text, start - 1, close + 1, text.slice(start, end), weight);
    }
  }
  const old = oldBrackets(text, start, end);
  const base = old ? rounded(old.weight, options.attention) : 1;
  const from = old ? start - old.count : start;
  const to = old ? end + old.count : end;
  return wrapped(text, from, to, text.slice(start, end), base + direction * options.attention);
}

/** How many pairs of the same bracket lie directly around a range, and what they are worth. */
function oldBrackets(text, start, end) {
  const opening = text[start - 1];
  if (opening !== "(" && opening !== "[") return null;
  let count = 0;
  while (
    text[start - 1 - count] === opening && text[end + count] === CLOSING[opening]
    && !isEscaped(text, start - 1 - count) && !isEscaped(text, end + count)
  ) count += 1;
  if (count === 0) return null;
  return { count, weight: opening === "(" ? 1.1 ** count : 1.1 ** -count };
}

function rounded(weight, step) {
  return Math.round(weight / step) * step;
}

function network(text, start, end, direction, step) {
  const close = text.indexOf(">", end);
  const number = text.slice(end + 1, close);
  if (text[end] !== ":" || close < 0 || !isNumber(number)) return null;
  const weight = written(Number(number) + direction * step);
  return {
    text: text.slice(0, end + 1) + weight + text.slice(close), start, end,
  };
}

function wrapped(text, from, to, content, weight) {
  const isPlain = Number(weight.toPrecision(12)) === 1;
  const inner = isPlain ? content : `(${content}:${written(weight)})`;
  const start = isPlain ? from : from + 1;
  return {
    text: text.slice(0, from) + inner + text.slice(to), start, end: start + content.length,
  };
}

function written(weight) {
  const number = Number(weight.toPrecision(12));
  return Number.isInteger(number) ? number.toFixed(1) : String(number);
}

/**
 * Move the comma-separated elements under the selection by one place. White space stays where it
 * is, so that a list over several lines keeps its shape.
 *
 * @param {{text: string, start: number, end: number}} field
 * @param {1 | -1} direction
 */
export function moveElements({ text, start, end }, direction) {
  const slots = slotsOf(text);
  const first = slots.findIndex((slot) => start <= slot.after);
  const touched = slots.findIndex((slot) => end <= slot.after);
  const last = touched < 0 ? slots.length - 1 : touched;
  const other = direction < 0 ? first - 1 : last + 1;
  if (first < 0 || other < 0 || other >= slots.length) return null;
  const contents = slots.map((slot) => slot.content);
  const [moved] = contents.splice(other, 1);
  contents.splice(direction < 0 ? last : first, 0, moved);
  return rejoined(slots, contents, first + direction, last + direction);
}

function slotsOf(text) {
  let at = 0;
  return text.split(",").map((part) => {
    const slot = {
      lead: part.match(/^\s*/)[0],
      content: part.trim(),
      trail: part.trim() ? part.match(/\s*$/)[0] : "",
      after: at + part.length,
    };
    at += part.length + 1;
    return slot;
  });
}

function rejoined(slots, contents, first, last) {
  let text = "";
  let start = 0;
  let end = 0;
  slots.forEach((slot, i) => {
    if (i) text += ",";
    text += slot.lead;
    if (i === first) start = text.length;
    text += contents[i];
    if (i === last) end = text.length;
    text += slot.trail;
  });
  return { text, start, end };
}

/**
 * Brackets that do not match: a list of pairs such as "()" whose numbers of opening and closing
 * ones differ; escaped ones do not count.
 */
export function unbalancedBrackets(text) {
  const counts = new Map();
  for (let i = 0; i < text.length; i += 1) {
    if (text[i] === "\\") i += 1;
    else if ("()[]{}".includes(text[i])) counts.set(text[i], (counts.get(text[i]) || 0) + 1);
  }
  return ["()", "[]", "{}"].filter(
    ([opening, closing]) => (counts.get(opening) || 0) !== (counts.get(closing) || 0),
  );
}
