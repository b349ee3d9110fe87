// A puzzle that states its rules. A spec is {cells, symbols, grid}, of names, and grid as [rows, columns] or null; boards
// come as strings, for every cell the number of its symbol from 1, A for 10 and so on, 0 for a blank.

import { DIGITS } from "./board.js";

function word(className, text = "") {
  return Object.assign(document.createElement("span"), { className, textContent: text });
}

/** Lay the cells out as they stand on their grid, or as a list of names; `write(cell)` makes what stands in each. */
function layOut({ cells, grid }, write) {
  const board = document.createElement("div");
  board.className = grid ? "board rules" : "board list";
  if (grid) ["--rows", "--n"].forEach((name, i) => board.style.setProperty(name, grid[i]));
  board.append(...cells.flatMap((name, cell) => (grid ? [write(cell)] : [word("cell-name", name), write(cell)])));
  board.setAttribute("role", "img");
  return board;
}

function symbol({ symbols }, board, cell) {
  return symbols[DIGITS.indexOf(board[cell]) - 1] ?? "";
}

/** A board to look at: `paint(symbols, label)` shows others, clues apart from what was filled in. */
export function picture(spec, clues) {
  const written = spec.cells.map((_, cell) => word(clues[cell] === "0" ? "cell" : "cell clue"));
  const element = layOut(spec, (cell) => written[cell]);
  const longest = Math.max(...spec.symbols.map((name) => name.length));
  element.style.setProperty("--letters", Math.max(1, longest * 0.8));
  const paint = (board, label) => {
    written.forEach((one, cell) => { one.textContent = symbol(spec, board, cell); });
    element.setAttribute("aria-label", `${label}; ${spec.cells.map((name, cell) => `${name} ${symbol(spec, board, cell) || "blank"}`).join(", ")}`);
  };
  return { element, paint };
}

/** The entropy of every cell as colour and number; `most` nats are the full colour. */
export function heat(spec, clues, entropy, most) {
  const element = layOut(spec, (cell) => {
    const one = word("cell", clues[cell] === "0" && entropy[cell] >= 0.005 ? entropy[cell].toFixed(2) : "");
    const share = Math.min(1, Math.max(0, entropy[cell] / most));
    one.style.setProperty("--heat", `${Math.round(100 * share)}%`);
    one.classList.toggle("hot", share > 0.62);
    if (clues[cell] !== "0") one.append(word("clue", symbol(spec, clues, cell)));
    one.title = `${spec.cells[cell]}: ${entropy[cell].toFixed(2)} nats`;
    return one;
  });
  element.classList.add("heat");
  const top = entropy.indexOf(Math.max(...entropy));
  element.setAttribute("aria-label", `Entropy of the cells; the largest is ${entropy[top].toFixed(2)} nats at ${spec.cells[top]}`);
  return element;
}
