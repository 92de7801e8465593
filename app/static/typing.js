/** How words are put into a text, and what that saves. No element is touched here. */

/** Whether a word after `text` needs a space before it: not at the beginning, nor after a space, a dash or an opening mark. */
export function needsSpace(text) {
  return text !== "" && !/[\s/–—-]$|(?:^|\s)["'“‘([{]+$/u.test(text);
}

/** Suggestions less probable than this are not worth a chip. */
const LEAST = 0.001;

/** The suggestions that are worth showing and still fit when `prefix` has been typed; what is typed already is no suggestion. */
export function fitting(words, prefix) {
  const typed = prefix.toLowerCase();
  return words.filter(
    ({ word, probability }) => probability >= LEAST && word.toLowerCase().startsWith(typed) && word !== prefix,
  );
}

/** Whether a digit is typed as itself: in numbers and after marks, where no word is being written. */
export function continuesNumber(before) {
  return /[^\p{L}\p{M}\s'’]$/u.test(before);
}

/** Marks that take back the space before them that came with a word. */
export const CLOSES_UP = /^[.,!?;:)]$/;

/** Counts keys, and those that suggestions saved. */
export class Savings {
  keys = 0;
  saved = 0;

  /** `characters` were typed, each with a key of its own; a deletion is a key, too. */
  typed(characters) {
    this.keys += characters;
  }

  /** One key put `inserted` characters in place of `replaced`. */
  accepted(inserted, replaced) {
    this.keys += 1;
    this.saved += inserted - replaced - 1;
  }

  /** The space that a word brought was taken back by the mark after it. */
  closedUp() {
    this.saved -= 1;
  }

  /** Of the keys that typing everything would have taken, the share that was not needed. */
  get share() {
    return this.saved / (this.keys + this.saved || 1);
  }
}
