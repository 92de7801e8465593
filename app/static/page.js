/** The page: shows the view that the address names, and gives each what it works with. */

import { About } from "./about.js";
import { Client } from "./client.js";
import { Draft } from "./draft.js";
import { Recovery } from "./recovery.js";
import { Sample } from "./sample.js";
import { limitLength } from "./sampling.js";
import { Surprise } from "./surprise.js";
import { Write } from "./write.js";

const VIEWS = { write: Write, surprise: Surprise, sample: Sample, about: About };

const client = new Client();
const recovery = new Recovery(client, document.getElementById("status"), document.getElementById("key-prompt"));
/** What is known of the model, as soon as it is. */
const description = {};
const parts = { client, recovery, draft: new Draft(), description };

const views = Object.fromEntries(
  Object.entries(VIEWS).map(([name, View]) => [name, new View(document.getElementById(name), parts)]),
);
const described = describe();
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault(); // the address names the view, and stays as it is
  document.getElementById("main").focus();
});
addEventListener("hashchange", () => show(true));
show(false);

async function describe() {
  const answer = await recovery.run(() => client.model());
  if (!answer) return;
  Object.assign(description, { model: answer.model, vocabularySize: answer.description.vocabulary_size });
  limitLength(answer.limits.max_tokens);
  for (const box of document.querySelectorAll("textarea")) box.maxLength = answer.limits.max_characters;
}

/** Shows the view in the address, `#name?parameters`; `move` takes the reader there. */
async function show(move) {
  const [name, parameters] = location.hash.slice(1).split("?");
  const chosen = views[name] ? name : "write";
  for (const each of Object.keys(views)) {
    document.getElementById(each).hidden = each !== chosen;
    document.querySelector(`nav a[href="#${each}"]`).toggleAttribute("aria-current", false);
  }
  document.querySelector(`nav a[href="#${chosen}"]`).setAttribute("aria-current", "page");
  const heading = document.getElementById(`${chosen}-heading`);
  document.title = `${heading.textContent} – review-lm`;
  if (move) heading.focus();
  await described;
  if (!document.getElementById(chosen).hidden) views[chosen].shown(new URLSearchParams(parameters));
}
