/**
 * A client of review-lm for any front end that speaks ES modules: this one file, no dependencies.
 *
 *     import { Client } from "./client.js";
 *
 *     const client = new Client();
 *     const { suggestions } = await client.nextWord({ text: "The food was ", k: 3 });
 *     const { scores } = await client.score({ texts: ["I loved it."], tokens: true });
 *     for await (const event of await client.generate({ stars: 5, seed: 7 })) console.log(event.text ?? "");
 *
 * Requests and answers are those of the service's `/docs`. Every call takes `{ signal }` of an AbortController and
 * throws
 *
 *     Problem      the service refused or failed: `status`, `type`, `title`, `detail`, `errors`, `retryAfter`
 *     Unreachable  no answer came, or a stream broke off
 *     DOMException named "AbortError", where `signal` was aborted
 */

/** What the service says is wrong, as RFC 9457 problem details; whatever else answers in its place looks the same. */
export class Problem extends Error {
  /**
   * @param {{ status?: number, type?: string, title?: string, detail?: string, errors?: object[] }} details
   * @param {number | null} retryAfter seconds after which the service asks to come again; null where it does not say
   */
  constructor({ status = 0, type = "about:blank", title = "", detail = "", errors = [] }, retryAfter = null) {
    super(detail || title || `The service answered ${status}.`);
    this.name = "Problem";
    Object.assign(this, { status, type, title, detail, errors, retryAfter });
  }

  /** @param {Response} response an answer that is not `ok` */
  static async from(response) {
    const given = response.headers.get("Content-Type")?.startsWith("application/problem+json");
    const details = given ? await response.json() : { title: response.statusText };
    return new Problem({ ...details, status: response.status }, secondsUntil(response.headers.get("Retry-After")));
  }
}

/** No answer came: the service or the network is down, or a stream broke off. */
export class Unreachable extends Error {
  constructor(cause) {
    super("The service cannot be reached.", { cause });
    this.name = "Unreachable";
  }
}

export class Client {
  /**
   * @param {{ base?: string | URL, key?: string }} [options] `base` is the address of the service, by default of the
   *   one that this file came from; `key` an API key. The key may be set later, too: `client.key = "…"`.
   */
  constructor({ base = new URL("..", import.meta.url), key = "" } = {}) {
    this.base = new URL(base);
    this.key = key;
  }

  /**
   * What could come next.
   * @param {{ text: string, prefix?: string, k?: number, stars?: number | null, punctuation?: boolean }} request
   *   `text` is everything before the word being typed, `prefix` its letters so far; `splitWord` takes them apart
   * @returns {Promise<{ suggestions: { word: string, probability: number }[], usage: object, model: string }>}
   */
  nextWord(request, { signal } = {}) {
    return this.#json("next-word", request, signal);
  }

  /**
   * How surprising texts are; logarithms are natural. Offsets count characters: `Array.from(text).slice(start, end)`.
   * @param {{ texts: string[], stars?: number | null, tokens?: boolean }} request
   * @returns {Promise<{ scores: object[], perplexity: number, bits_per_character: number, model: string }>}
   */
  score(request, { signal } = {}) {
    return this.#json("score", request, signal);
  }

  /**
   * Sample reviews, piece by piece. The promise settles when writing begins, so that what the service refuses is thrown
   * here; to stop early, leave the loop or abort `signal`.
   * @param {{ prompt?: string, stars?: number | null, n?: number, max_tokens?: number, temperature?: number,
   *   top_p?: number, seed?: number | null }} request
   * @returns {Promise<AsyncGenerator<{ index?: number, text?: string, finish_reason?: string, seed?: number,
   *   usage?: object }>>} pieces of `text`, one event with the `finish_reason` of each review, one with `seed` and `usage`
   */
  async generate(request, { signal } = {}) {
    const response = await this.#send("generate", { ...request, stream: true }, signal);
    return events(response.body);
  }

  /** What the model is, how good it is (`metrics`, null where the artifact has none), and the limits of the service. */
  model({ signal } = {}) {
    return this.#json("model", undefined, signal);
  }

  /** The page for operators, which needs no key; a service that is not ready has one, too. */
  async health({ signal } = {}) {
    const response = await this.#fetch("health", undefined, signal);
    const page = await response.json().catch(() => null);
    if (page?.status && page.model) return page;
    throw new Problem({ ...page, status: response.status });
  }

  async #json(path, body, signal) {
    const response = await this.#send(path, body, signal);
    return whole(response.json());
  }

  async #send(path, body, signal) {
    const response = await this.#fetch(path, body, signal);
    if (!response.ok) throw await Problem.from(response);
    return response;
  }

  #fetch(path, body, signal) {
    const headers = this.key ? { Authorization: `Bearer ${this.key}` } : {};
    if (body) headers["Content-Type"] = "application/json";
    const method = body ? "POST" : "GET";
    return whole(fetch(new URL(path, this.base), { method, headers, signal, body: body && JSON.stringify(body) }));
  }
}

/**
 * Splits what stands before the caret into `{ text, prefix }` as `nextWord` wants them: "very att" is "very " and "att".
 * @param {string} typed
 */
export function splitWord(typed) {
  const run = typed.match(/[\p{L}\p{M}\p{N}'’-]*$/u)[0].replace(/^['’-]+/, "");
  const prefix = /^\p{L}/u.test(run) ? run.slice(-100) : "";
  return { text: typed.slice(0, typed.length - prefix.length), prefix };
}

/** The result of a promise of the network's, whose failures other than an abort are `Unreachable`. */
async function whole(promise) {
  try {
    return await promise;
  } catch (error) {
    throw error.name === "AbortError" ? error : new Unreachable(error);
  }
}

/** The server-sent events of a body, parsed, up to the closing `[DONE]`. */
async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let buffer = "";
  try {
    for (;;) {
      const { value, done } = await whole(reader.read());
      if (done) throw new Unreachable("the stream ended before its last event");
      const parts = (buffer + value).split("\n\n");
      buffer = parts.pop();
      for (const part of parts) {
        const data = part.replace(/^data: /, "");
        if (data === "[DONE]") return;
        const event = JSON.parse(data);
        if (event.error) throw new Problem(event.error);
        yield event;
      }
    }
  } finally {
    await reader.cancel().catch(() => {}); // of a stream that failed there is nothing to cancel
  }
}

/** A `Retry-After` header in seconds: it holds a number of them, or a date. */
function secondsUntil(header) {
  if (!header) return null;
  const seconds = /^\d+$/.test(header) ? Number(header) : (Date.parse(header) - Date.now()) / 1000;
  return Number.isFinite(seconds) ? Math.max(0, seconds) : null;
}
