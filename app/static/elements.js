/** Elements and figures for every view. Text is only ever set as text, so nothing that is typed or answered is markup. */

const SVG = "http://www.w3.org/2000/svg";

/**
 * An element with attributes and children; `class` and the like as in HTML, functions as listeners (`onclick`), null and
 * false leave an attribute out.
 */
export function element(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

/** The same for a drawing. */
export function drawing(tag, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

function filled(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") node.addEventListener(name.slice(2), value);
    else if (value !== null && value !== false) node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

/** Shows `[name, value, note]` rows in a `<dl>`; where they stand already, only what changed is touched. */
export function showFigures(list, rows) {
  while (list.children.length < rows.length) {
    const group = element("div", {}, element("dt"), element("dd"), element("dd", { class: "note" }));
    list.append(group);
  }
  rows.forEach((row, place) => {
    [...list.children[place].children].forEach((node, part) => showText(node, row[part] ?? ""));
  });
}

/** Sets the text of an element, unless that is its text: what is set anew is laid out and painted anew. */
export function showText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

// Making a format takes longer than using it.
const FORMATS = [0, 1, 2, 3, 4].map(
  (digits) => new Intl.NumberFormat("en", { minimumFractionDigits: digits, maximumFractionDigits: digits }),
);
const TWO_DIGITS = new Intl.NumberFormat("en", { maximumSignificantDigits: 2 });

/** A number as people read it, with up to four digits after the point; a dash where there is none. */
export function number(value, digits = 0) {
  if (typeof value !== "number" || !Number.isFinite(value)) return "–";
  return FORMATS[digits].format(value);
}

/** A probability as a percentage with two significant digits: "37 %", "0.0021 %". */
export function percent(probability) {
  if (typeof probability !== "number" || !Number.isFinite(probability)) return "–";
  if (probability > 0 && probability < 1e-6) return "under 0.0001 %";
  return `${TWO_DIGITS.format(100 * probability)} %`;
}

/** A probability at a glance: "37 %", "under 1 %". */
export function roundPercent(probability) {
  return probability < 0.01 ? "under 1 %" : `${Math.round(100 * probability)} %`;
}

/** Stars as words: "4 stars", "1 star", "any rating". */
export function starsInWords(stars) {
  if (!stars) return "any rating";
  return stars === 1 ? "1 star" : `${stars} stars`;
}

/** The middle of numbers, the mean of the two middle ones; NaN of none. */
export function median(numbers) {
  const sorted = [...numbers].sort((one, other) => one - other);
  return (sorted[Math.floor((sorted.length - 1) / 2)] + sorted[Math.ceil((sorted.length - 1) / 2)]) / 2;
}

/** Copies text; answers whether that worked. Without HTTPS, browsers keep their clipboard to themselves. */
export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false;
  }
}
