/** The review that Write and Surprise share: its text and its rating (1–5, or null for any). */
export class Draft extends EventTarget {
  text = "";
  stars = null;

  /** Changes either or both, and tells whoever listens for "change". */
  set(change) {
    if (Object.entries(change).every(([name, value]) => this[name] === value)) return;
    Object.assign(this, change);
    this.dispatchEvent(new Event("change"));
  }
}
