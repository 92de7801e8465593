/** Small drawings of figures. Each is a picture with a name for those who hear it; its numbers stand in a table beside. */

import { drawing, element, number } from "./elements.js";

const WIDTH = 560;
const HEIGHT = 260;
const MARGIN = { top: 12, right: 16, bottom: 44, left: 52 };

/**
 * A figure: a drawing, its caption, and its numbers as a table that opens.
 * @param {{ title: string, picture: SVGElement, columns: string[], rows: string[][] }} content
 */
export function figure({ title, picture, columns, rows }) {
  return element(
    "figure",
    {},
    element("figcaption", {}, title),
    picture,
    element("details", {}, element("summary", {}, "The numbers"), table(columns, rows)),
  );
}

/** A table whose first column names its rows. */
export function table(columns, rows) {
  const head = columns.map((name) => element("th", { scope: "col" }, name));
  const body = rows.map(([name, ...cells]) => {
    const values = cells.map((cell) => element("td", {}, cell));
    return element("tr", {}, element("th", { scope: "row" }, name), ...values);
  });
  const whole = element("table", {}, element("thead", {}, element("tr", {}, ...head)), element("tbody", {}, ...body));
  return element("div", { class: "table", tabindex: 0, role: "group", "aria-label": columns.join(", ") }, whole);
}

/**
 * Lines through points.
 * @param {{ name: string, across: string, up: string, series: { name: string, points: [number, number][], dashed?:
 *   boolean }[], fromZero?: boolean }} content `fromZero` puts 0 at the bottom, too
 */
export function lineChart({ name, across, up, series, fromZero = false }) {
  const points = series.flatMap((each) => each.points);
  const x = scale(0, Math.max(...points.map(([value]) => value)), MARGIN.left, WIDTH - MARGIN.right);
  const heights = points.map(([, value]) => value);
  const least = fromZero ? 0 : Math.min(...heights);
  const y = scale(least, Math.max(...heights), HEIGHT - MARGIN.bottom, MARGIN.top);
  const lines = series.map(({ points: own, dashed }, index) => {
    const path = own.map(([a, b]) => `${x.at(a).toFixed(1)},${y.at(b).toFixed(1)}`).join(" ");
    const style = `series-${index + 1}${dashed ? " dashed" : ""}`;
    return drawing("polyline", { class: `line ${style}`, points: path });
  });
  return picture(name, [...grid(x, y), ...labels(across, up), ...lines, ...legend(series)]);
}

/**
 * Bars beside each other, a group for each place.
 * @param {{ name: string, across: string, up: string, places: string[], series: { name: string, values: number[] }[] }}
 *   content
 */
export function barChart({ name, across, up, places, series }) {
  const y = scale(0, Math.max(...series.flatMap(({ values }) => values)), HEIGHT - MARGIN.bottom, MARGIN.top);
  const step = (WIDTH - MARGIN.left - MARGIN.right) / places.length;
  const width = (0.76 * step) / series.length;
  const bars = series.flatMap(({ values }, index) =>
    values.map((value, place) => {
      const left = MARGIN.left + step * (place + 0.12) + width * index;
      const box = { x: left, y: y.at(value), width: width - 1, height: y.at(0) - y.at(value), rx: 2 };
      return drawing("rect", { class: `bar series-${index + 1}`, ...box });
    }),
  );
  const names = places.map((text, place) => {
    const middle = MARGIN.left + step * (place + 0.5);
    return drawing("text", { x: middle, y: HEIGHT - MARGIN.bottom + 18, "text-anchor": "middle" }, text);
  });
  return picture(name, [...rules(y), ...labels(across, up), ...bars, ...names, ...legend(series)]);
}

function picture(name, content) {
  return drawing("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": name, class: "chart" }, ...content);
}

/** Where values from `least` to `most` lie between two places, and the round values among them to label. */
function scale(least, most, from, to) {
  const span = most - least || 1;
  const rough = span / 4;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((each) => each >= rough);
  const low = Math.floor(least / step + 1e-9) * step;
  const high = Math.ceil(most / step - 1e-9) * step || step;
  const digits = Math.max(0, -Math.floor(Math.log10(step)));
  const ticks = Array.from({ length: Math.round((high - low) / step) + 1 }, (_, index) => low + index * step);
  return { at: (value) => from + ((value - low) / (high - low)) * (to - from), ticks, digits };
}

function grid(x, y) {
  const marks = x.ticks.map((value) => {
    const place = { x: x.at(value), y: HEIGHT - MARGIN.bottom + 18, "text-anchor": "middle" };
    return drawing("text", place, tick(value, x));
  });
  return [...rules(y), ...marks];
}

function rules(y) {
  return y.ticks.flatMap((value) => [
    drawing("line", { class: "rule", x1: MARGIN.left, x2: WIDTH - MARGIN.right, y1: y.at(value), y2: y.at(value) }),
    drawing("text", { x: MARGIN.left - 8, y: y.at(value) + 4, "text-anchor": "end" }, tick(value, y)),
  ]);
}

function tick(value, { digits }) {
  return number(value, Math.min(4, digits));
}

function labels(across, up) {
  const middle = (HEIGHT - MARGIN.bottom + MARGIN.top) / 2;
  return [
    drawing("text", { x: WIDTH - MARGIN.right, y: HEIGHT - 6, "text-anchor": "end", class: "axis" }, across),
    drawing("text", { transform: `translate(12 ${middle}) rotate(-90)`, "text-anchor": "middle", class: "axis" }, up),
  ];
}

function legend(series) {
  if (series.length < 2) return [];
  return series.flatMap(({ name }, index) => {
    const y = MARGIN.top + 12 + 18 * index;
    const right = WIDTH - MARGIN.right;
    return [
      drawing("rect", { class: `bar series-${index + 1}`, x: right - 12, y: y - 9, width: 10, height: 10, rx: 2 }),
      drawing("text", { x: right - 18, y, "text-anchor": "end" }, name),
    ];
  });
}
