// A puzzle that states its rules: written as text below, or the file of one. What it means is said by the server.

import { ask } from "./ask.js";
import { picture } from "./rules.js";

const WAIT = 400; // milliseconds after the last letter
const RULES = /^[\s{]*["']?(name|grid|cells|queens|symbols|given|excluded|rules)["']?\s*:/m;

export class RulesEditor {
  /** `opened(text)` is called with the text of a file, `complain(sentence)` where a text is no puzzle. */
  constructor(container, opened, complain) {
    Object.assign(this, { container, opened, complain });
  }

  hint = "Write the puzzle as text, in YAML or JSON, or open its file.";
  spelling = "grid or cells, symbols, given, excluded and rules; see docs/puzzles.md";

  open() {
    this.preview = document.createElement("div");
    const input = Object.assign(document.createElement("input"), { type: "file", accept: ".yaml,.yml,.json", id: "file" });
    const label = Object.assign(document.createElement("label"), { htmlFor: "file", textContent: "From a file" });
    input.addEventListener("change", async () => input.files.length && this.opened(await input.files[0].text()));
    this.container.replaceChildren(this.preview, label, input);
    this.text = "";
  }

  /** Take a text, and show it as a puzzle soon. Returns: whether it is one that states its rules, right or wrong. */
  read(text) {
    if (!RULES.test(text)) return false;
    this.text = text;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.show(text), WAIT);
    return true;
  }

  async show(text) {
    try {
      const { spec } = await ask("read", { text });
      if (text !== this.text || !spec.cells) return; // it was changed meanwhile
      const board = picture(spec, spec.clues);
      board.paint(spec.clues, "the puzzle");
      this.preview.replaceChildren(board.element);
    } catch (problem) {
      if (text === this.text && this.preview.isConnected) this.complain(problem.message);
    }
  }
}
