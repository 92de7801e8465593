/** Surprise: the text coloured token by token, and for each what the model would have said instead. */

import { Editor } from "./editor.js";
import { element, number, percent, showFigures } from "./elements.js";
import { Latest, pause } from "./latest.js";
import { starSelector } from "./stars.js";
import { bits, heat, placeOf, shownTokens } from "./tokens.js";

/** Milliseconds of rest before a text is scored: it is scored as a whole, which a longer one takes time for. */
const REST = 120;
/** Milliseconds that a pointer rests on a token before its alternatives are asked for. */
const HOVER = 60;
const ALTERNATIVES = 5;
const EXAMPLES = {
  "As people write": "The food was great and the staff were friendly. We will definitely be back!",
  "Word order matters": "Great the was food and friendly were staff the. Back be definitely we will!",
  "One odd thing": "The waiter brought us bread, olive oil and a trumpet.",
};

export class Surprise {
  #scoring = new Latest();
  #looking = new Latest();
  #scored = { text: null, stars: null };
  #tokens = [];
  #alternatives = new Map();

  constructor(section, { client, recovery, draft, description }) {
    Object.assign(this, { section, client, recovery, draft, description });
    this.editor = new Editor(section.querySelector(".editor"));
    this.result = section.querySelector("#scored");
    this.figures = section.querySelector("#score-figures");
    this.text = section.querySelector("#tokens");
    this.detail = section.querySelector("#token");
    this.setStars = starSelector(section.querySelector(".stars"), (stars) => draft.set({ stars }));
    this.#listen();
  }

  #listen() {
    this.editor.box.addEventListener("input", () => this.draft.set({ text: this.editor.text }));
    this.draft.addEventListener("change", () => !this.section.hidden && this.#score(REST));
    this.text.addEventListener("pointerover", (event) => this.#look(event.target, HOVER));
    this.text.addEventListener("focusin", (event) => this.#look(event.target));
    this.text.addEventListener("keydown", (event) => this.#move(event));
    const buttons = Object.entries(EXAMPLES).map(([name, text]) =>
      element("button", { type: "button", onclick: () => this.draft.set({ text }) }, name),
    );
    this.section.querySelector("#examples").append(...buttons);
  }

  /** The view is shown: the text is scored, unless it was. */
  shown() {
    this.#score();
  }

  async #score(delay = 0) {
    const { text, stars } = this.draft;
    this.editor.text = text;
    this.setStars(stars);
    if (text === this.#scored.text && stars === this.#scored.stars) return;
    if (!text) return this.#show({ text, stars }, null);
    const request = { texts: [text], stars, tokens: true };
    const call = (signal) => this.recovery.run(() => this.client.score(request, { signal }), signal);
    const answer = await this.#scoring.run(call, delay);
    if (answer) this.#show({ text, stars }, answer.scores[0]);
  }

  #show(scored, score) {
    this.#looking.cancel();
    this.#scored = scored;
    this.result.hidden = !score;
    this.#tokens = score ? shownTokens(scored.text, score.token_scores) : [];
    this.text.replaceChildren(...this.#tokens.map((token, index) => tokenButton(token, index)));
    this.detail.replaceChildren(element("p", { class: "note" }, "Point at a token, or move through them with the keyboard."));
    if (score) this.#showFigures(score);
  }

  #showFigures(score) {
    showFigures(this.figures, [
      ["Perplexity per word", number(score.perplexity, 1), "as if so many words were equally likely"],
      ["Bits per character", number(score.bits_per_character, 2), `${number(score.characters)} characters`],
      ["Tokens", number(score.tokens), `${number(score.token_perplexity, 1)} perplexity per token`],
    ]);
  }

  #move(event) {
    const from = Number(event.target.dataset.index);
    const last = this.#tokens.length - 1;
    const to = { ArrowRight: from + 1, ArrowLeft: from - 1, Home: 0, End: last }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    this.text.children[Math.min(last, Math.max(0, to))].focus();
  }

  /** Shows what is known of a token, and asks for what the model would have said. */
  async #look(button, delay = 0) {
    const token = this.#tokens[button.dataset.index];
    if (!token) return;
    for (const each of this.text.children) each.tabIndex = each === button ? 0 : -1;
    this.#mark(button);
    const call = async (signal) => {
      if (delay) await pause(delay, signal);
      this.#describe(token, null);
      return this.#instead(token, signal);
    };
    const words = await this.#looking.run(call);
    if (words) this.#describe(token, words);
  }

  #mark(button) {
    this.text.querySelector(".looked-at")?.classList.remove("looked-at");
    button.classList.add("looked-at");
  }

  async #instead(token, signal) {
    const request = { ...placeOf(this.#scored.text, token), k: ALTERNATIVES, stars: this.#scored.stars };
    const key = JSON.stringify(request);
    if (!this.#alternatives.has(key)) {
      const answer = await this.recovery.run(() => this.client.nextWord(request, { signal }), signal);
      if (answer) this.#alternatives.set(key, answer.suggestions);
    }
    return this.#alternatives.get(key) ?? [];
  }

  #describe(token, words) {
    const name = token.isEnd ? "the end of the review" : `“${token.text.trim() || shownSpace(token.text)}”`;
    this.detail.replaceChildren(
      element("h2", {}, name),
      element("p", {}, `${this.#ranked(token)}, ${percent(Math.exp(token.logProbability))}, ${number(bits(token), 1)} bits.`),
      element("p", { class: "note" }, "What it would have said instead:"),
      words ? wordList(words) : element("p", {}, "…"),
    );
  }

  #ranked({ ranks }) {
    const size = this.description.vocabularySize;
    const choices = size ? ` of ${number(size)}` : "";
    if (ranks.length === 1) return ranks[0] === 1 ? "Its first choice" : `Its choice number ${number(ranks[0])}${choices}`;
    return `Spelled in ${ranks.length} tokens, choices number ${ranks.map((rank) => number(rank)).join(", ")}`;
  }
}

function tokenButton(token, index) {
  const { text, isEnd } = token;
  const label = isEnd ? "end of the review" : text.trim() ? null : shownSpace(text);
  const button = element("span", { class: "token", role: "button", tabindex: index ? -1 : 0, "data-index": index });
  if (label) button.setAttribute("aria-label", label);
  button.textContent = isEnd ? "end" : text;
  button.classList.toggle("end", isEnd);
  button.style.setProperty("--heat", `${(100 * heat(token)).toFixed(1)}%`);
  return button;
}

function shownSpace(text) {
  return text.includes("\n") ? "line break" : "space";
}

function wordList(words) {
  if (!words.length) return element("p", {}, "Nothing that is a word.");
  const items = words.map(({ word, probability }) => {
    const bar = element("span", { class: "bar" });
    bar.style.setProperty("--share", `${100 * probability}%`);
    return element("li", {}, element("span", { class: "word" }, word), bar, element("span", {}, percent(probability)));
  });
  return element("ol", { class: "instead" }, ...items);
}
