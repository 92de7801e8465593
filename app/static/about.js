/**
 * About this model: what `GET /model` tells of it, its figures from `metrics.json`, and how this service is doing.
 *
 * Each part is shown where the artifact holds what it needs, and left out where it does not: other artifacts know less,
 * and later ones more. Everything stands in the whole description at the end.
 */

import { barChart, figure, lineChart, table } from "./charts.js";
import { element, number, percent, showFigures } from "./elements.js";
import { Latest } from "./latest.js";

const MODEL = "model"; // what the measured model is called among those it is compared with
const SERIES = 4; // as many as there are colours for
const UNIT = { perplexity_per_word: 1, perplexity_per_token: 1, bits_per_character: 4 };

export class About {
  #asking = new Latest();

  constructor(section, { client, recovery }) {
    Object.assign(this, { client, recovery });
    this.place = section.querySelector("#model");
  }

  /** The view is shown: everything is asked for anew, as an operator who looks wants it as it is. */
  async shown() {
    const call = (signal) => this.recovery.run(() => this.#ask(signal), signal);
    const answers = await this.#asking.run(call);
    if (answers) this.place.replaceChildren(...parts(...answers));
  }

  #ask(signal) {
    return Promise.all([this.client.model({ signal }), this.client.health({ signal })]);
  }
}

/** Every part that there are figures for. */
function parts({ model, description, limits, metrics }, health) {
  const known = { ...description, ...metrics };
  const all = [
    name(model, known),
    service(health, limits),
    quality(known.quality),
    curve(known.curve),
    ratings(known.evaluation?.ratings),
    ...nextWords(known.evaluation?.next_words, model),
    writing(known.evaluation?.writing),
    comparison(known.comparison, model),
    whole({ model, description, limits, metrics }),
  ];
  return all.filter(Boolean);
}

function part(title, ...content) {
  const shown = content.filter(Boolean);
  return shown.length ? element("section", { class: "part" }, element("h2", {}, title), ...shown) : null;
}

// ---- what it is ----

function name(model, { network, parameters, vocabulary_size: vocabulary, training, corpus, created }) {
  const rows = [
    isNumber(parameters) && ["Parameters", number(parameters), layers(network)],
    isNumber(vocabulary) && ["Vocabulary", number(vocabulary), "tokens: words and pieces of words"],
    isNumber(corpus?.train?.reviews) && ["Trained on", number(corpus.train.reviews), "reviews"],
    isNumber(training?.seconds) && ["Training took", `${number(training.seconds / 60)} min`, date(created)],
  ].filter(Boolean);
  const list = element("dl", { class: "figures" });
  showFigures(list, rows);
  return part(model, training?.data && element("p", { class: "lead" }, training.data), rows.length && list);
}

function layers(network) {
  if (!network?.cell) return "";
  const units = isNumber(network.hidden) ? ` of ${number(network.hidden)} units` : "";
  return `${network.layers > 1 ? `${network.layers} × ` : ""}${String(network.cell).toUpperCase()}${units}`;
}

function date(created) {
  return created ? `created ${created}` : "";
}

function service(health, limits) {
  const list = element("dl", { class: "figures" });
  const { status, uptime_seconds: uptime, rows, log } = health;
  showFigures(list, [
    ["Status", { ok: "ready", degraded: "answers, but does not log", unavailable: "not ready" }[status] ?? status, log?.error],
    ["Up for", duration(uptime), ""],
    ["Work under way", number(rows), "rows"],
    ["Requests logged", number(log?.written), `${number(log?.dropped)} lost, ${number(log?.deleted)} deleted by age or number`],
    ["Waiting to be logged", number(log?.waiting), `rows, ${number(log?.waiting_bytes)} bytes`],
  ]);
  const rowsOfLimits = Object.entries(limits ?? {}).map(([field, value]) => [inWords(field), number(value)]);
  const shown = element("details", {}, element("summary", {}, "Its limits"), table(["limit", "value"], rowsOfLimits));
  return part("This service", list, rowsOfLimits.length && shown);
}

function duration(seconds) {
  if (!isNumber(seconds)) return "–";
  const units = [[86400, "days"], [3600, "hours"], [60, "minutes"]];
  const [size, unit] = units.find(([each]) => seconds >= 2 * each) ?? [1, "seconds"];
  return `${number(seconds / size)} ${unit}`;
}

// ---- how good it is ----

function quality(splits) {
  const columns = ["measured on", "reviews", "bits per character", "perplexity per word", "perplexity per token"];
  const rows = Object.entries(splits ?? {}).flatMap(([split, precisions]) =>
    Object.entries(precisions ?? {})
      .filter(([, measured]) => isNumber(measured?.bits_per_character))
      .map(([precision, measured]) => [`${split}, ${precision}`, number(measured.reviews), ...measures(measured)]),
  );
  return part("How well it predicts", rows.length && table(columns, rows));
}

function measures(measured) {
  const fields = ["bits_per_character", "perplexity_per_word", "perplexity_per_token"];
  return fields.map((field) => number(measured?.[field], UNIT[field]));
}

function curve(points) {
  const measured = pairs(points, "tokens", "valid_bits_per_character").map(([tokens, bits]) => [tokens / 1e6, bits]);
  if (measured.length < 2) return null;
  const axes = { across: "tokens trained on, millions", up: "bits per character" };
  const picture = lineChart({ name: "Training curve", ...axes, series: [{ name: "validation", points: measured }] });
  const rows = measured.map(([tokens, bits]) => [number(tokens, 1), number(bits, 4)]);
  const title = "Bits per character on validation reviews, as training went on";
  return part("How it learnt", figure({ title, picture, columns: [axes.across, axes.up], rows }));
}

function ratings(measured) {
  const by = Object.entries({ all: measured, ...measured?.by_stars }).filter(([, each]) => each?.told && each.hidden);
  if (!by.length) return null;
  const rows = by.map(([stars, { told, hidden }]) => {
    const named = stars === "all" ? "all" : `${stars} ★`;
    return [named, number(told.reviews), ...measures(told), number(hidden.bits_per_character, 4)];
  });
  const columns = ["rating", "reviews", "bits per character", "perplexity per word", "per token", "bits without the rating"];
  return part("By rating", table(columns, rows), recognised(measured.recognised));
}

function recognised(shares) {
  if (!isNumber(shares?.every_rating_alike)) return null;
  return element(
    "p",
    {},
    `The rating under which a review is most probable is its true one for ${percent(shares.every_rating_alike)} of ` +
      `${number(shares.rated_reviews)} reviews; naming the most frequent rating would be right for ` +
      `${percent(shares.always_the_most_frequent)}.`,
  );
}

function nextWords(measured, model) {
  const models = Object.entries(measured ?? {}).map(([each, figures]) => [each === MODEL ? model : each, figures]);
  if (!models.length) return [];
  const fields = [
    ["top-1 accuracy", "top_1_accuracy", percent],
    ["top-3 accuracy", "top_3_accuracy", percent],
    ["top-5 accuracy", "top_5_accuracy", percent],
    ["mean reciprocal rank", "mean_reciprocal_rank_at_10", (value) => number(value, 3)],
    ["keystroke savings", "keystroke_savings", percent],
    ["expected calibration error", "expected_calibration_error", (value) => number(value, 4)],
  ];
  const rows = fields
    .filter(([, field]) => models.some(([, figures]) => isNumber(figures?.[field])))
    .map(([label, field, shown]) => [label, ...models.map(([, figures]) => shown(figures?.[field]))]);
  const words = table(["next words", ...models.map(([each]) => each)], rows);
  return [part("Next words", rows.length && words, ranks(models), reliability(models))];
}

function ranks(models) {
  const series = models
    .filter(([, figures]) => Array.isArray(figures?.words_by_rank) && figures.words)
    .slice(0, SERIES)
    .map(([each, { words_by_rank: counts, words_beyond: beyond, words }]) => ({
      name: each,
      values: [...counts, beyond].map((count) => (100 * (count || 0)) / words),
    }));
  if (!series.length) return null;
  const last = series[0].values.length;
  const places = series[0].values.map((_, index) => (index + 1 === last ? "beyond" : String(index + 1)));
  const picture = barChart({ name: "Ranks of next words", across: "rank", up: "share of words, %", places, series });
  const rows = places.map((place, index) => [place, ...series.map(({ values }) => `${number(values[index], 1)} %`)]);
  const columns = ["rank", ...series.map((each) => each.name)];
  return figure({ title: "Which place the word that came had in the list of suggestions", picture, columns, rows });
}

function reliability(models) {
  const measured = models
    .map(([each, figures]) => ({ name: each, points: pairs(figures?.calibration, "probability", "came_true") }))
    .filter(({ points }) => points.length)
    .slice(0, SERIES - 1);
  if (!measured.length) return null;
  const series = [...measured, { name: "perfect", points: [[0, 0], [1, 1]], dashed: true }];
  const axes = { across: "probability of the first suggestion", up: "share that came" };
  const picture = lineChart({ name: "Reliability of next words", ...axes, series, fromZero: true });
  const rows = measured.flatMap(({ name: each, points }) => points.map(([said, came]) => [each, percent(said), percent(came)]));
  const title = "How often the first suggestion came, by how probable it was said to be";
  return figure({ title, picture, columns: ["model", "said", "came"], rows });
}

function writing(measured) {
  const { generated, real } = measured ?? {};
  if (!generated || !real) return null;
  const fields = [
    ...[1, 2, 3].map((n) => [`distinct-${n}`, (texts) => number(texts[`distinct_${n}`], 3)]),
    ["self-BLEU-4", (texts) => number(texts.self_bleu_4, 3)],
    ["longest run shared with a training review: median", (texts) => number(texts.longest_shared_run?.median)],
    ["… of the 1 % with the longest", (texts) => number(texts.longest_shared_run?.percentile_99)],
    ["… of all", (texts) => number(texts.longest_shared_run?.longest)],
  ];
  const rows = fields.map(([label, value]) => [label, value(generated), value(real)]);
  const columns = ["texts", `${number(generated.reviews)} generated`, `${number(real.reviews)} real`];
  return part("What it writes", table(columns, rows), element("p", { class: "note" }, "Runs are counted in words."));
}

function comparison(models, model) {
  const measured = (Array.isArray(models) ? models : []).filter((each) => isNumber(each?.bits_per_character));
  if (!measured.length) return null;
  const sorted = [...measured].sort((one, other) => one.bits_per_character - other.bits_per_character);
  const rows = sorted.map((each) => [
    each.name === model ? `${each.name}, this model` : String(each.name),
    number(each.bits_per_character, 4),
  ]);
  return part("Beside others", table(["on the same reviews", "bits per character"], rows));
}

function whole(answer) {
  const text = element("pre", { tabindex: 0, "aria-label": "The whole answer" }, JSON.stringify(answer, null, 2));
  const about = answer.metrics ? "" : element("p", { class: "note" }, "This artifact holds no metrics.json.");
  return part("Everything", about, element("details", {}, element("summary", {}, "GET /model, whole"), text));
}

// ---- reading what may not be there ----

function isNumber(value) {
  return typeof value === "number" && Number.isFinite(value);
}

/** The `[x, y]` of those entries of a list that have both. */
function pairs(list, x, y) {
  const entries = Array.isArray(list) ? list : [];
  return entries.map((each) => [each?.[x], each?.[y]]).filter((pair) => pair.every(isNumber));
}

function inWords(field) {
  return field.replace(/^max_/, "most ").replaceAll("_", " ");
}
