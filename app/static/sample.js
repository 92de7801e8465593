/** Sample: reviews as they are written, and links that write them again. */

import { copy, number, starsInWords } from "./elements.js";
import { Latest } from "./latest.js";
import { drawSeed, fromParameters, sane, saneSeed, SETTINGS, toFragment, toRequest } from "./sampling.js";
import { starSelector } from "./stars.js";

const ENDS = { end: "The model ended it.", length: "It was cut at the length asked for.", stop: "A stop string ended it." };

export class Sample {
  #writing = new Latest();
  #stars = null;
  #shown = null;

  constructor(section, { client, recovery, draft, description }) {
    Object.assign(this, { section, client, recovery, draft, description });
    this.form = section.querySelector("form");
    this.written = section.querySelector("#written");
    this.text = this.written.querySelector(".text");
    this.facts = this.written.querySelector(".facts");
    this.setStars = starSelector(section.querySelector(".stars"), (stars) => (this.#stars = stars));
    this.#fill(fromParameters(new URLSearchParams()));
    this.#listen();
  }

  #listen() {
    const on = (id, act) => this.section.querySelector(id).addEventListener("click", act);
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#write(this.#settings());
    });
    on("#another", () => this.#write({ ...this.#settings(), seed: drawSeed() }));
    on("#stop", () => this.#writing.cancel());
    on("#its-surprise", () => this.draft.set({ text: this.#shown.text, stars: this.#shown.stars }));
    on("#copy-text", ({ target }) => confirm(target, copy(this.#shown.text)));
    on("#copy-link", ({ target }) => confirm(target, copy(new URL(this.#shown.fragment, location.href).href)));
  }

  /** The view is shown; a link to a review writes it, unless that is what stands there. */
  shown(parameters) {
    const settings = fromParameters(parameters);
    if (settings.seed === null || toFragment(settings, settings.model) === this.#shown?.fragment) return;
    this.#fill(settings);
    this.#write(settings, settings.model);
  }

  #fill(settings) {
    for (const name of [...Object.keys(SETTINGS), "seed"]) this.form.elements[name].value = settings[name] ?? "";
    this.#stars = settings.stars;
    this.setStars(settings.stars);
  }

  #settings() {
    const { elements } = this.form;
    const numbers = Object.keys(SETTINGS).map((name) => [name, sane(name, elements[name].value)]);
    const seed = saneSeed(elements.seed.value) ?? drawSeed();
    return { ...Object.fromEntries(numbers), stars: this.#stars, seed };
  }

  async #write(settings, linkedModel = null) {
    this.#fill(settings);
    this.#begin(settings, linkedModel);
    const outcome = await this.#writing.run((signal) => this.recovery.run(() => this.#stream(settings, signal), signal));
    // Where a newer review took this one's place, that one is under way.
    if (this.#shown.settings === settings) this.#end(outcome);
  }

  #begin(settings, linkedModel) {
    this.#shown = { settings, linkedModel, stars: settings.stars, text: "", began: performance.now() };
    this.#shown.fragment = toFragment(settings, this.description.model);
    history.replaceState(null, "", this.#shown.fragment);
    this.written.hidden = false;
    this.written.querySelector(".written-stars").textContent = starLine(settings.stars);
    this.#busy(true);
  }

  #busy(busy) {
    this.written.classList.toggle("writing", busy);
    this.written.setAttribute("aria-busy", String(busy));
    this.section.querySelector("#stop").disabled = !busy;
    if (busy) this.facts.textContent = "Writing …";
  }

  /** Writes from the beginning, as after a connection that broke off: with its seed the text is the same. */
  async #stream(settings, signal) {
    const shown = this.#shown;
    const outcome = { tokens: 0, reason: null };
    this.#showText(shown, "");
    for await (const event of await this.client.generate(toRequest(settings), { signal })) {
      if (event.text) this.#showText(shown, shown.text + event.text);
      outcome.reason = event.finish_reason ?? outcome.reason;
      outcome.tokens = event.usage?.generated_tokens ?? outcome.tokens;
      outcome.model = event.model ?? outcome.model;
    }
    return outcome;
  }

  #showText(shown, text) {
    shown.text = text.trimStart();
    this.text.textContent = shown.text;
  }

  #end(outcome) {
    this.#busy(false);
    const { settings, began, linkedModel } = this.#shown;
    const seed = `Seed ${settings.seed}`;
    if (!outcome) return (this.facts.textContent = `Stopped. ${seed}.`);
    const seconds = (performance.now() - began) / 1000;
    const speed = `${number(outcome.tokens)} tokens in ${number(seconds, 2)} s`;
    this.facts.textContent = `${ENDS[outcome.reason]} ${speed}. ${seed}.${otherModel(linkedModel, outcome.model)}`;
  }
}

function otherModel(linked, wrote) {
  if (!linked || linked === wrote) return "";
  return ` The link is of another model, ${linked}, which may have written something else.`;
}

function starLine(stars) {
  return stars ? `${"★".repeat(stars)}${"☆".repeat(5 - stars)} ${starsInWords(stars)}` : "Any rating";
}

/** Says on a button whether what it does was done, for a moment. */
async function confirm(button, done) {
  button.dataset.name ??= button.textContent;
  button.textContent = (await done) ? "Copied" : "Your browser does not allow that";
  setTimeout(() => (button.textContent = button.dataset.name), 2000);
}
