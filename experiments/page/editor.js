// The board one types on: a Sudoku of input fields with a pad of digits, or a board of buttons for queens.
// Arrow keys move; the grid is one stop of the tab key.

import { clashes, DIGITS, layOut, place, QUEEN } from "./board.js";

export class Editor {
  /** `changed(text)` is called after every edit, `complain(sentence)` when a key does not belong on the board. */
  constructor(container, changed, complain) {
    Object.assign(this, { container, changed, complain });
  }

  /** Show an empty board. */
  open(spec) {
    this.spec = spec;
    this.symbols = Array(spec.n ** 2).fill("0");
    this.board = layOut(spec, (cell) => (spec.kind === "sudoku" ? this.field(cell) : this.square(cell)));
    this.board.setAttribute("role", "group");
    this.board.setAttribute("aria-label", `${spec.title}, to be filled in`);
    this.board.addEventListener("keydown", (event) => this.move(event));
    this.container.replaceChildren(this.board, ...(spec.kind === "sudoku" ? [this.pad()] : []));
    this.enter(0);
    this.draw();
  }

  /** How to fill the board in. */
  get hint() {
    return this.spec.kind === "sudoku"
      ? "Type in the cells, or mark one and choose a digit; arrow keys move. Or paste a puzzle."
      : "Click a square to put a queen there or take it off; arrow keys move, space sets.";
  }

  /** How the puzzle is written. */
  get spelling() {
    const { kind, n } = this.spec;
    const line = kind === "sudoku" ? `${n * n} characters, row by row; . for a blank` : `${n} characters: the column of the queen of each row, from 0, or .`;
    return `${line}. Spaces, bars and line breaks do not matter`;
  }

  /** The puzzle as text: digits row by row, or the column of the queen of each row. */
  get text() {
    const { kind, n } = this.spec;
    if (kind === "sudoku") return this.symbols.join("").replaceAll("0", ".");
    const rows = Array.from({ length: n }, (_, row) => this.symbols.slice(row * n, (row + 1) * n).indexOf(QUEEN));
    return rows.map((column) => (column < 0 ? "." : column)).join("");
  }

  /** Show a puzzle that came as text. Returns: whether it is one for this board; if not, the board stays. */
  read(text) {
    const { kind, n } = this.spec;
    const digits = DIGITS.slice(0, kind === "sudoku" ? n + 1 : n);
    if (text.length !== (kind === "sudoku" ? n * n : n) || [...text].some((c) => !`.${digits}`.includes(c))) return false;
    if (kind === "sudoku") this.symbols = [...text.replaceAll(".", "0")];
    else {
      this.symbols.fill("0");
      [...text].forEach((c, row) => c !== "." && (this.symbols[row * n + Number(c)] = QUEEN));
    }
    this.draw();
    return true;
  }

  field(cell) {
    const input = document.createElement("input");
    Object.assign(input, { type: "text", inputMode: this.spec.n > 9 ? "text" : "numeric", autocomplete: "off" });
    input.setAttribute("aria-label", place(this.spec, cell));
    input.addEventListener("focus", () => this.enter(cell));
    input.addEventListener("input", () => this.write(cell, input.value.slice(-1)));
    return input;
  }

  square(cell) {
    const button = document.createElement("button");
    button.type = "button";
    button.setAttribute("aria-label", place(this.spec, cell));
    button.addEventListener("focus", () => this.enter(cell));
    button.addEventListener("click", () => {
      const { n } = this.spec;
      const row = Math.floor(cell / n) * n;
      const symbol = this.symbols[cell] === QUEEN ? "0" : QUEEN;
      this.symbols.fill("0", row, row + n); // a row has one queen: the new one takes the place of the old
      this.symbols[cell] = symbol;
      this.edited();
    });
    return button;
  }

  pad() {
    const pad = document.createElement("div");
    pad.className = "pad";
    pad.setAttribute("role", "group");
    pad.setAttribute("aria-label", "Digits for the marked cell");
    for (const digit of [...DIGITS.slice(1, this.spec.n + 1), ""]) {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = digit || "⌫";
      if (!digit) button.setAttribute("aria-label", "erase");
      button.addEventListener("click", () => this.write(this.current, digit));
      pad.append(button);
    }
    return pad;
  }

  /** Put a typed character into a Sudoku cell. */
  write(cell, character) {
    const digit = [" ", ".", ""].includes(character) ? "0" : character.toUpperCase();
    if (DIGITS.slice(0, this.spec.n + 1).includes(digit)) {
      this.symbols[cell] = digit;
      this.edited();
    } else {
      this.draw();
      this.complain(`${character} is no digit of this board; write 1 to ${DIGITS[this.spec.n]}, or nothing for a blank`);
    }
  }

  edited() {
    this.draw();
    this.changed(this.text);
  }

  draw() {
    const wrong = clashes(this.spec, this.symbols.join(""));
    [...this.board.children].forEach((element, cell) => {
      const symbol = this.symbols[cell];
      if (this.spec.kind === "sudoku") element.value = symbol === "0" ? "" : symbol;
      else {
        element.classList.toggle("queen", symbol === QUEEN);
        element.setAttribute("aria-pressed", symbol === QUEEN);
      }
      element.classList.toggle("clue", symbol !== "0");
      element.classList.toggle("wrong", wrong.has(cell));
      if (this.spec.kind === "sudoku") element.setAttribute("aria-invalid", wrong.has(cell));
    });
  }

  enter(cell) {
    this.current = cell;
    [...this.board.children].forEach((element, i) => {
      element.tabIndex = i === cell ? 0 : -1;
      element.classList.toggle("current", i === cell);
    });
    if (document.activeElement === this.board.children[cell]) this.board.children[cell].select?.();
  }

  move(event) {
    const { n } = this.spec;
    const [row, column] = [Math.floor(this.current / n), this.current % n];
    const [down, right] = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key] ?? [0, 0];
    if (!down && !right) return;
    event.preventDefault();
    const inside = (i) => Math.min(n - 1, Math.max(0, i));
    this.board.children[inside(row + down) * n + inside(column + right)].focus();
  }
}
