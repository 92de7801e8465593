/** The settings of a sample, and the link that holds them: a seed and settings give the same review each time. */

/** Each setting's default, bounds, and whether it is a whole number; `max_tokens` is bounded by the service. */
export const SETTINGS = {
  temperature: { initial: 0.8, least: 0, most: 10 },
  top_p: { initial: 0.95, least: 0.01, most: 1 },
  max_tokens: { initial: 150, least: 1, most: 1000, whole: true },
};
const SEEDS = 2 ** 31;

/** Notes how many tokens the service writes at most. */
export function limitLength(tokens) {
  SETTINGS.max_tokens.most = tokens;
}

/** A setting as it can be sent: what is no number is the default, and what is out of bounds the nearest that is in them. */
export function sane(name, value) {
  const { initial, least, most, whole } = SETTINGS[name];
  const given = String(value ?? "").trim() === "" ? NaN : Number(value);
  if (!Number.isFinite(given)) return Math.min(most, initial);
  const bounded = Math.min(most, Math.max(least, given));
  return whole ? Math.round(bounded) : bounded;
}

/** A seed from 0 up, or null for what is none. */
export function saneSeed(value) {
  return /^\d+$/.test(value ?? "") && Number.isSafeInteger(Number(value)) ? Number(value) : null;
}

/** A rating from 1 to 5, or null for what is none. */
export function saneStars(value) {
  return /^[1-5]$/.test(value ?? "") ? Number(value) : null;
}

export function drawSeed() {
  return Math.floor(Math.random() * SEEDS);
}

/** The settings in a link's parameters, and whether it is a link to one review: only then is there a seed. */
export function fromParameters(parameters) {
  const numbers = Object.keys(SETTINGS).map((name) => [name, sane(name, parameters.get(name))]);
  const stars = saneStars(parameters.get("stars"));
  return { ...Object.fromEntries(numbers), stars, seed: saneSeed(parameters.get("seed")), model: parameters.get("model") };
}

/** The fragment of a link to the review that `model` writes with these settings. */
export function toFragment({ stars, temperature, top_p, max_tokens, seed }, model) {
  const parameters = new URLSearchParams({ ...(stars && { stars }), temperature, top_p, max_tokens, seed, ...(model && { model }) });
  return `#sample?${parameters}`;
}

/** What `/generate` is asked for. */
export function toRequest({ stars, temperature, top_p, max_tokens, seed }) {
  return { stars, temperature, top_p, max_tokens, seed };
}
