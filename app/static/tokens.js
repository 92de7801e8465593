/** From the token scores of `/score` to what is shown of them. No element is touched here. */

import { splitWord } from "./client.js";

/** Bits of surprise from which a token is coloured as much as can be. */
export const HOTTEST = 16;

/**
 * The tokens of a text as they are shown: those that spell one character between them are one, and the end mark is last.
 * @returns {{ text: string, start: number, logProbability: number, ranks: number[], isEnd: boolean }[]} `start` counts
 *   UTF-16 units, as JavaScript's strings do
 */
export function shownTokens(text, tokenScores) {
  const characters = Array.from(text); // offsets count characters, emoji as one
  const shown = [];
  let start = 0;
  tokenScores.forEach((token, place) => {
    const isEnd = place === tokenScores.length - 1;
    const before = shown.at(-1);
    if (before && !isEnd && token.start < before.end) {
      before.end = Math.max(before.end, token.end);
      before.text = characters.slice(before.first, before.end).join("");
      before.logProbability += token.log_probability;
      before.ranks.push(token.rank);
    } else {
      start = characters.slice(0, token.start).join("").length;
      const own = { first: token.start, end: token.end, text: characters.slice(token.start, token.end).join("") };
      shown.push({ ...own, start, logProbability: token.log_probability, ranks: [token.rank], isEnd });
    }
  });
  return shown;
}

/** Surprise in bits: how many questions with two even answers the token was worth. */
export function bits({ logProbability }) {
  return -logProbability / Math.LN2;
}

/** How hot a token is coloured, from 0 to 1. */
export function heat(token) {
  return Math.min(1, bits(token) / HOTTEST);
}

/** What to ask `/next-word` for, to know what the model would have said in place of a token. */
export function placeOf(text, { start, text: token }) {
  const before = text.slice(0, start);
  const insideWord = /[\p{L}\p{M}]$/u.test(before) && /^['’]?[\p{L}\p{M}]/u.test(token);
  return insideWord ? { ...splitWord(before), punctuation: false } : { text: before, prefix: "", punctuation: true };
}
