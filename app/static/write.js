/** Write: suggestions as one types, as chips and as ghost text, each a key or a tap away. */

import { splitWord } from "./client.js";
import { Editor } from "./editor.js";
import { element, median, number, percent, roundPercent, showFigures, showText } from "./elements.js";
import { Latest, pause } from "./latest.js";
import { starSelector } from "./stars.js";
import { CLOSES_UP, continuesNumber, fitting, needsSpace, Savings } from "./typing.js";

const SHOWN = 5;
const REMEMBERED = 200;
/** Milliseconds of a response up to which every key is asked for at once: faster than anybody types. */
const FAST = 60;
const LONGEST_DELAY = 250;
/** Milliseconds after which suggestions that do not fit what was typed since are put away. */
const STALE = 300;
/** Milliseconds of rest before suggestions are read out, so that nobody is talked to while typing. */
const REST = 700;

export const KEY_TO_PAINT = "key to painted suggestion";

export class Write {
  #asking = new Latest();
  #resting = new Latest();
  #offer = { text: "", prefix: "", words: [] };
  #fresh = false;
  #wanted = null;
  #asked = null;
  #pressed = null;
  #spaced = false;
  #inserting = false;
  #savings = new Savings();
  #responses = [];
  #paints = [];

  constructor(section, { client, recovery, draft }) {
    Object.assign(this, { section, client, recovery, draft });
    this.editor = new Editor(section.querySelector(".editor"));
    this.list = section.querySelector("#suggestions");
    this.figures = section.querySelector("#typing-figures");
    this.announcer = section.querySelector("#announcer");
    this.chips = Array.from({ length: SHOWN }, (_, place) => newChip(place));
    this.list.append(...this.chips);
    this.setStars = starSelector(section.querySelector(".stars"), (stars) => draft.set({ stars }));
    this.#listen();
    this.#showFigures();
  }

  #listen() {
    const { box } = this.editor;
    box.addEventListener("keydown", (event) => this.#onKey(event));
    box.addEventListener("input", (event) => this.#onInput(event));
    // The caret moves with every key, too, which asks for nothing new.
    document.addEventListener("selectionchange", () => document.activeElement === box && this.#onCaret());
    this.chips.forEach((chip, place) => chip.addEventListener("click", () => this.#take(place)));
    // A press would take the focus from the box, and with it the keyboard of a phone.
    this.list.addEventListener("mousedown", (event) => event.preventDefault());
    this.section.querySelector("#clear").addEventListener("click", () => this.#startAnew());
    this.draft.addEventListener("change", () => this.#onDraft());
    keepAboveKeyboard();
  }

  /** The view is shown: suggestions are asked for if there are none yet. */
  shown() {
    this.#ask();
  }

  #startAnew() {
    this.#savings = new Savings();
    this.draft.set({ text: "" });
    this.#showFigures();
    this.editor.box.focus();
  }

  #onDraft() {
    this.setStars(this.draft.stars);
    this.editor.text = this.draft.text;
    if (!this.section.hidden) this.#ask();
  }

  #onCaret() {
    this.#pressed = null;
    this.#ask();
  }

  // ---- keys ----

  #onKey(event) {
    this.#pressed = event.timeStamp;
    if (event.isComposing || event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
    if (event.key === "Escape") this.#putAway();
    const place = this.#placeOf(event.key);
    if (place === null) return;
    event.preventDefault();
    this.#take(place);
  }

  /** Which suggestion a key takes; null where it is a key like any other. */
  #placeOf(key) {
    const { before, after } = this.editor;
    if (this.list.hidden || before === null) return null;
    if (key === "Tab" || (key === "ArrowRight" && !after)) return 0;
    return /^[1-5]$/.test(key) && !continuesNumber(before) && this.#offer.words[key - 1] ? key - 1 : null;
  }

  #onInput({ inputType, data, timeStamp }) {
    this.#pressed ??= timeStamp;
    this.#wanted = null;
    if (!this.#inserting) {
      const pasted = /^insertFrom(Paste|Drop)/.test(inputType) ? (data?.length ?? 1) : 1;
      this.#savings.typed(pasted);
      if (this.#spaced && CLOSES_UP.test(data ?? "")) this.#closeUp(data);
      this.#spaced = false;
    }
    this.draft.set({ text: this.editor.text });
  }

  /** "great ." becomes "great.": the space came with the word. */
  #closeUp(mark) {
    if (!this.editor.before?.endsWith(` ${mark}`)) return;
    this.#insert(2, mark);
    this.#savings.closedUp();
  }

  #insert(replaced, text) {
    this.#inserting = true;
    this.editor.replaceBefore(replaced, text);
    this.#inserting = false;
  }

  // ---- suggestions ----

  /** Asks what could come at the caret, unless that is what was asked last. */
  #ask() {
    const { before, after } = this.editor;
    const asked = JSON.stringify([before, /^[\p{L}\p{N}]/u.test(after), this.draft.stars]);
    if (asked === this.#asked) return;
    this.#asked = asked;
    const pressed = this.#pressed;
    this.#pressed = null;
    if (before === null || /^[\p{L}\p{N}]/u.test(after)) return this.#putAway();
    const { text, prefix } = splitWord(before);
    this.#narrow(text, prefix);
    const request = { text, prefix, k: prefix ? SHOWN + 1 : SHOWN, stars: this.draft.stars };
    this.#asking.run((signal) => this.recovery.run(() => this.#timed(request, signal), signal), this.#delay()).then(
      (answer) => answer && this.#show({ text, prefix, words: fitting(answer.suggestions, prefix) }, pressed),
    );
  }

  async #timed(request, signal) {
    const began = performance.now();
    const answer = await this.client.nextWord(request, { signal });
    this.#responses = [...this.#responses.slice(1 - REMEMBERED), performance.now() - began];
    return answer;
  }

  /** No time at all while answers are fast; else half an answer's, so that a slow service is not asked for every key. */
  #delay() {
    const response = median(this.#responses) || 0;
    return response <= FAST ? 0 : Math.min(LONGEST_DELAY, response / 2);
  }

  /** Until the answer comes: the ghost of what still fits, and the old chips, dimmed, so that nothing flickers. */
  #narrow(text, prefix) {
    const goesOn = text === this.#offer.text && prefix.startsWith(this.#offer.prefix);
    const words = goesOn ? fitting(this.#offer.words, prefix) : [];
    this.#fresh = false;
    this.list.classList.add("stale");
    this.#showGhost({ text, prefix, words });
    this.#resting.run(async (signal) => {
      await pause(STALE, signal);
      this.#wanted = null;
      this.#hide();
      this.#showFigures();
    });
  }

  #show(offer, pressed) {
    this.#offer = { ...offer, words: offer.words.slice(0, SHOWN) };
    this.#fresh = true;
    this.list.classList.remove("stale");
    this.list.hidden = !this.#offer.words.length;
    this.chips.forEach((chip, place) => showChip(chip, this.#offer.words[place]));
    this.#showGhost(this.#offer);
    if (pressed !== null) this.#notePaint(pressed);
    this.#announce();
    if (this.#wanted !== null) this.#take(this.#wanted);
  }

  #showGhost({ text, prefix, words: [first] }) {
    const space = !prefix && needsSpace(text) ? " " : "";
    this.editor.showGhost(first && !this.editor.after ? space + first.word.slice(prefix.length) : "");
  }

  #putAway() {
    this.#asking.cancel();
    this.#resting.cancel();
    this.#hide();
  }

  #hide() {
    this.list.hidden = true;
    this.editor.showGhost("");
    this.announcer.textContent = "";
  }

  /** Puts a suggestion into the text; where its answer is under way, as soon as that is here. */
  #take(place) {
    this.#wanted = this.#fresh ? null : place;
    const suggestion = this.#offer.words[place];
    if (!this.#fresh || !suggestion) return;
    const { text, prefix } = this.#offer;
    const last = !this.editor.after;
    const inserted = (!prefix && needsSpace(text) ? " " : "") + suggestion.word + (last ? " " : "");
    this.#savings.accepted(inserted.length, prefix.length);
    this.#insert(prefix.length, inserted);
    this.#spaced = last;
  }

  // ---- what it tells ----

  #announce() {
    const words = this.#offer.words.map(({ word }) => word);
    this.#resting.run(async (signal) => {
      await pause(REST, signal);
      this.#showFigures();
      this.announcer.textContent = words.length ? `Suggestions: ${words.join(", ")}` : "No suggestions";
    });
  }

  /** Notes the time from a key to the paint that shows what came of it: the task after a frame comes after its paint. */
  #notePaint(pressed) {
    requestAnimationFrame(() => {
      const { port1, port2 } = new MessageChannel();
      port1.onmessage = () => {
        const { duration } = performance.measure(KEY_TO_PAINT, { start: pressed, end: performance.now() });
        this.#paints = [...this.#paints.slice(1 - REMEMBERED), duration];
        this.#showFigures();
      };
      port2.postMessage(null);
    });
  }

  #showFigures() {
    const { keys, saved, share } = this.#savings;
    const words = this.draft.text.split(/\s+/).filter(Boolean).length;
    showFigures(this.figures, [
      ["Keystrokes saved", number(saved), `${percent(share)}, ${number(words ? saved / words : 0, 1)} a word`],
      ["Words per keystroke", number(keys ? words / keys : NaN, 2), `${number(words)} words, ${number(keys)} keys`],
      ["Median response", milliseconds(median(this.#responses)), `${milliseconds(median(this.#paints))} from key to paint`],
    ]);
  }
}

function newChip(place) {
  const parts = [element("kbd", {}, String(place + 1)), element("span", { class: "word" })];
  const selected = { role: "option", "aria-selected": String(place === 0) };
  return element("li", selected, ...parts, element("span", { class: "probability" }));
}

function showChip(chip, suggestion) {
  chip.hidden = !suggestion;
  const { word, probability } = suggestion ?? { word: "", probability: NaN };
  showText(chip.querySelector(".word"), word);
  showText(chip.querySelector(".probability"), roundPercent(probability));
}

function milliseconds(value) {
  return `${number(value, value < 10 ? 1 : 0)} ms`;
}

/** Tells the style sheet how much of the window a phone's keyboard covers, where that does not resize the page. */
function keepAboveKeyboard() {
  window.visualViewport?.addEventListener("resize", () => {
    const covered = Math.max(0, window.innerHeight - window.visualViewport.height);
    document.documentElement.style.setProperty("--keyboard", `${covered}px`);
  });
}
