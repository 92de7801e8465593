/**
 * What the page does when a call does not succeed: where the service is busy, not ready or out of reach it says so, waits
 * and tries again; where a key is needed it asks for one; everything else it shows and leaves at that.
 *
 * While it waits, every call waits with it: a service that asked for three seconds is left alone for three seconds.
 */

import { Problem, Unreachable } from "./client.js";
import { pause } from "./latest.js";

const LONGEST_PAUSE = 15;

/** What is said of a failure that passes: a kind for the style, a title, and a sentence. */
function passing(error) {
  if (error instanceof Unreachable) {
    const title = navigator.onLine ? "The service cannot be reached." : "You are offline.";
    return { kind: "offline", title, sentence: "What you typed is safe; it is tried again by itself." };
  }
  if (!(error instanceof Problem)) return null;
  if (error.status === 429) {
    return { kind: "overloaded", title: "The service is busy.", sentence: "It asked to be tried again a little later." };
  }
  if ([502, 503].includes(error.status)) {
    return { kind: "not-ready", title: "The service is not ready.", sentence: "It is starting or stopping." };
  }
  return null;
}

export class Recovery {
  #client;
  #status;
  #prompt;
  #failures = 0;
  #gate = null;

  /**
   * @param {import("./client.js").Client} client whose key is set when one was asked for
   * @param {HTMLElement} status where states are shown
   * @param {HTMLDialogElement} prompt asks for a key
   */
  constructor(client, status, prompt) {
    this.#client = client;
    this.#status = status;
    this.#prompt = prompt;
  }

  /** The answer of `call`, tried until it succeeds; undefined where it failed for good. Throws where `signal` is aborted. */
  async run(call, signal) {
    for (;;) {
      await unlessAborted(this.#gate, signal);
      const key = this.#client.key;
      try {
        const answer = await call();
        this.#succeeded();
        return answer;
      } catch (error) {
        if (error.name === "AbortError") throw error;
        if (!this.#close(error, key)) return this.#failed(error);
      }
    }
  }

  #succeeded() {
    this.#failures = 0;
    if (!this.#gate && !this.#status.hidden) this.#status.hidden = true;
  }

  #failed(error) {
    this.#say("failed", error.title || "That did not work.", error.detail || error.message);
    this.#status.querySelector("button").hidden = true;
  }

  /** Makes every call wait, if waiting or a key can help; tells whether it can. */
  #close(error, key) {
    if (error instanceof Problem && error.status === 401) {
      if (key === this.#client.key) this.#gate ??= this.#open(this.#askForKey(Boolean(key)));
      return true;
    }
    const state = passing(error);
    if (state) this.#gate ??= this.#open(this.#wait(state, error.retryAfter));
    return Boolean(state);
  }

  async #open(when) {
    await when;
    this.#gate = null;
  }

  /** Waits as long as the service asked for, or else twice as long each time; a press of the button or a network ends it. */
  async #wait({ kind, title, sentence }, retryAfter) {
    const seconds = retryAfter ?? Math.min(LONGEST_PAUSE, 2 ** this.#failures);
    this.#failures += 1;
    this.#say(kind, title, sentence);
    const now = new AbortController();
    const again = () => now.abort();
    const button = this.#status.querySelector("button");
    // A service that is overloaded is not pressed: it said itself when to come again.
    Object.assign(button, { textContent: "Try now", hidden: kind === "overloaded", onclick: again });
    addEventListener("online", again, { once: true });
    await this.#countDown(seconds, now.signal);
    removeEventListener("online", again);
    this.#status.querySelector(".countdown").textContent = "Trying again …";
    button.hidden = true;
  }

  async #countDown(seconds, signal) {
    const end = performance.now() + 1000 * seconds;
    const countdown = this.#status.querySelector(".countdown");
    for (let left = seconds; left > 0 && !signal.aborted; left = (end - performance.now()) / 1000) {
      countdown.textContent = `Again in ${Math.ceil(left)} s`;
      await pause(Math.min(1000 * left, 1000), signal).catch(() => {}); // the button was pressed
    }
  }

  #say(kind, title, sentence) {
    const [strong, span] = this.#status.querySelectorAll("strong, span");
    this.#status.dataset.kind = kind;
    this.#status.querySelector(".countdown").textContent = "";
    this.#status.hidden = false;
    strong.textContent = title;
    span.textContent = sentence;
  }

  /** Asks until a key was given; the prompt can be closed, and opened again from where states are shown. */
  #askForKey(wrong) {
    const input = this.#prompt.querySelector("input");
    const open = () => this.#prompt.open || this.#prompt.showModal();
    this.#prompt.querySelector("[role=alert]").textContent = wrong ? "The service does not know that key." : "";
    this.#say("unauthorised", "This service asks for a key.", "Nothing is answered without one.");
    Object.assign(this.#status.querySelector("button"), { textContent: "Enter a key", hidden: false, onclick: open });
    input.value = "";
    open();
    return new Promise((resolve) => {
      this.#prompt.querySelector("form").onsubmit = () => {
        this.#client.key = input.value.trim();
        input.value = "";
        this.#status.hidden = true;
        resolve();
      };
    });
  }
}

/** Waits for `promise`, but no longer than until `signal` is aborted, which it throws. */
function unlessAborted(promise, signal) {
  signal?.throwIfAborted();
  if (!promise || !signal) return promise;
  return new Promise((resolve, reject) => {
    signal.addEventListener("abort", () => reject(signal.reason));
    promise.then(resolve);
  });
}
