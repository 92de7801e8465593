/** The star selector: six radio buttons that look like stars and work like radio buttons. */

import { element, starsInWords } from "./elements.js";

let made = 0;

/**
 * Fills every `.stars` holder of a section; `onChange` is told 1–5, or null for any rating.
 * @returns {(stars: number | null) => void} sets what is chosen, without telling
 */
export function starSelector(holder, onChange) {
  const name = `stars-${(made += 1)}`;
  const choices = [0, 1, 2, 3, 4, 5].map((stars) => {
    const input = element("input", { type: "radio", name, value: stars, onchange: () => onChange(stars || null) });
    input.checked = !stars;
    const shown = stars ? element("span", { class: "star" }) : element("span", { class: "any" }, "any");
    return element("label", { title: starsInWords(stars) }, input, shown, hidden(stars));
  });
  holder.append(
    element("fieldset", {}, element("legend", {}, holder.dataset.legend), element("div", { class: "row" }, ...choices)),
  );
  return (stars) => (choices[stars ?? 0].querySelector("input").checked = true);
}

function hidden(stars) {
  return element("span", { class: "hidden-text" }, stars ? starsInWords(stars) : " rating");
}
