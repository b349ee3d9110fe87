// A board on the page. A spec is {kind, n, box}; boards come as strings of n * n symbols, numbered as the tasks do:
// Sudoku 0 (blank), 1..9, A, B, ... from 10 on; queens 0 (blank), 1 (empty), 2 (queen).

export const QUEEN = "2";
export const DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";

/** Row and column of a cell, counted from 1 as people do. */
export function place(spec, cell) {
  return `row ${Math.floor(cell / spec.n) + 1}, column ${(cell % spec.n) + 1}`;
}

/** Whether two different cells share a row, a column, a box or a diagonal that may not hold a symbol twice. */
function related({ kind, n, box }, a, b) {
  const [row, column, other, across] = [Math.floor(a / n), a % n, Math.floor(b / n), b % n];
  if (row === other || column === across) return true;
  if (kind === "queens") return Math.abs(row - other) === Math.abs(column - across);
  const boxOf = (r, c) => Math.floor(r / box[0]) * n + Math.floor(c / box[1]);
  return boxOf(row, column) === boxOf(other, across);
}

/** The cells that stand against each other: the same digit twice, or queens that attack. For display only; whether a
 * board is right is said by the server. */
export function clashes(spec, symbols) {
  const taken = [...symbols].flatMap((s, cell) => ((spec.kind === "queens" ? s === QUEEN : s !== "0") ? [cell] : []));
  const found = new Set();
  taken.forEach((a, i) => taken.slice(i + 1).forEach((b) => {
    if (symbols[a] === symbols[b] && related(spec, a, b)) found.add(a).add(b);
  }));
  return found;
}

/** Lay out n * n elements as a board; `make(cell)` makes each. */
export function layOut(spec, make) {
  const board = document.createElement("div");
  board.className = `board ${spec.kind}`;
  board.style.setProperty("--n", spec.n);
  for (let cell = 0; cell < spec.n ** 2; cell++) {
    const element = make(cell);
    const [row, column] = [Math.floor(cell / spec.n), cell % spec.n];
    element.classList.add("cell");
    if (spec.kind === "queens") element.classList.toggle("dark", (row + column) % 2 === 1);
    else {
      element.classList.toggle("edge-right", (column + 1) % spec.box[1] === 0 && column + 1 < spec.n);
      element.classList.toggle("edge-below", (row + 1) % spec.box[0] === 0 && row + 1 < spec.n);
    }
    board.append(element);
  }
  return board;
}

/** A board to look at: `paint(symbols, label)` shows other symbols, clues apart from what was filled in. */
export function picture(spec, clues) {
  const board = layOut(spec, () => document.createElement("span"));
  board.setAttribute("role", "img");
  const paint = (symbols, label) => {
    const wrong = clashes(spec, symbols);
    board.setAttribute("aria-label", label);
    [...board.children].forEach((element, cell) => {
      const lost = clues[cell] !== "0" && clues[cell] !== symbols[cell];
      if (spec.kind === "queens") element.classList.toggle("queen", symbols[cell] === QUEEN);
      else element.textContent = symbols[cell] === "0" ? "" : symbols[cell];
      element.classList.toggle("clue", clues[cell] !== "0");
      element.classList.toggle("wrong", wrong.has(cell) || lost);
    });
  };
  return { element: board, paint };
}

/** The entropy of every cell as colour and number; `most` nats are the full colour. */
export function heat(spec, clues, entropy, most) {
  const board = layOut(spec, (cell) => {
    const element = document.createElement("span");
    const share = Math.min(1, Math.max(0, entropy[cell] / most));
    element.style.setProperty("--heat", `${Math.round(100 * share)}%`);
    element.classList.toggle("hot", share > 0.62);
    element.textContent = clues[cell] === "0" && entropy[cell] >= 0.005 ? entropy[cell].toFixed(2) : "";
    if (clues[cell] !== "0") element.append(clue(spec, clues[cell]));
    element.title = `${place(spec, cell)}: ${entropy[cell].toFixed(2)} nats`;
    return element;
  });
  const top = entropy.indexOf(Math.max(...entropy));
  board.classList.add("heat");
  board.setAttribute("role", "img");
  board.setAttribute("aria-label", `Entropy of the cells; the largest is ${entropy[top].toFixed(2)} nats at ${place(spec, top)}`);
  return board;
}

function clue(spec, symbol) {
  const element = document.createElement("span");
  element.className = spec.kind === "queens" ? "queen clue" : "clue";
  if (spec.kind !== "queens") element.textContent = symbol;
  return element;
}
