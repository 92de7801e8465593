/** Text boxes with a mirror. */

import { showText } from "./elements.js";

/**
 * A text box that grows with its text and can show ghost text behind the caret. A mirror of the same type beneath the
 * transparent box gives both their height and shows the ghost.
 */
export class Editor {
  #typed;
  #ghost;

  /** @param {HTMLElement} node holds a `.mirror` with a `.typed` and perhaps a `.ghost`, and a textarea */
  constructor(node) {
    this.box = node.querySelector("textarea");
    this.#typed = node.querySelector(".typed");
    this.#ghost = node.querySelector(".ghost");
    this.box.addEventListener("input", () => this.#mirror());
    this.#mirror();
  }

  get text() {
    return this.box.value;
  }

  set text(text) {
    if (text === this.box.value) return;
    this.box.value = text;
    this.#mirror();
  }

  /** What stands before the caret; null while something is selected. */
  get before() {
    const { selectionStart, selectionEnd, value } = this.box;
    return selectionStart === selectionEnd ? value.slice(0, selectionStart) : null;
  }

  /** What stands behind the caret. */
  get after() {
    return this.box.value.slice(this.box.selectionEnd);
  }

  /** Shows how the text would go on behind the caret at its end. */
  showGhost(text) {
    showText(this.#ghost, text);
  }

  /** Replaces the last `length` characters before the caret, so that it can be undone like typing. */
  replaceBefore(length, text) {
    const end = this.box.selectionStart;
    this.box.focus();
    this.box.setSelectionRange(end - length, end);
    // The one way to keep the browser's undo history, though it is called deprecated.
    if (!document.execCommand("insertText", false, text)) {
      this.box.setRangeText(text, end - length, end, "end");
      this.box.dispatchEvent(new InputEvent("input", { inputType: "insertText", data: text }));
    }
  }

  #mirror() {
    this.#typed.textContent = this.box.value || this.box.placeholder;
  }
}
