// What trajectories found: a player of their answers, the distinct solutions, and the entropy of the cells.

import * as board from "./board.js";
import * as graph from "./graph.js";
import * as rules from "./rules.js";

const at = (id) => document.getElementById(id);
const MILLISECONDS = 700; // per segment
const percent = (share) => `${Math.floor(100 * share)} % sure`; // 100 is not said of 0.999
const count = (number, noun, ending = "s") => `${number} ${noun}${number === 1 ? "" : ending}`;

const drawn = ({ kind }) => ({ graph, rules })[kind] ?? board; // what draws boards of a kind

let player = null; // of the outcome shown now

/** Show an outcome of the server on boards of this spec. */
export function showOutcome(outcome, spec) {
  const width = outcome.answers[0].length;
  const right = outcome.right.at(-1).filter(Boolean).length;
  at("status").textContent = outcome.solutions.length
    ? `${count(outcome.solutions.length, outcome.solutions.length === 1 ? "solution" : "different solution")} found: ${right} of ${count(width, "guess", "es")} ` +
      `${right === 1 ? "obeys" : "obey"} the rules. ${outcome.seconds.toFixed(1)} s`
    : `No solution found: none of ${count(width, "guess", "es")} obeys the rules. ${outcome.seconds.toFixed(1)} s`;
  at("empty").hidden = true;
  at("found").hidden = false;
  at("found").style.setProperty("--n", { graph: 1, rules: spec.grid?.[1] ?? 8 }[spec.kind] ?? spec.n);
  at("found").classList.toggle("of-graph", spec.kind === "graph");
  at("found").classList.toggle("of-rules", spec.kind === "rules");
  showSolutions(outcome, spec, width);
  showEntropy(outcome, spec);
  player?.pause();
  player = new Player(outcome, spec);
  if (matchMedia("(prefers-reduced-motion: reduce)").matches) player.show(player.last);
  else player.play();
  if (matchMedia("(max-width: 56rem)").matches) at("results").scrollIntoView(); // below the form there, all of it drawn
}

/** Mark the outcome shown as that of another puzzle or other settings than those of the form, or not. */
export function markStale(is) {
  at("stale").hidden = !is;
  at("found").classList.toggle("stale", is);
}

function figure(board, ...captions) {
  const element = document.createElement("figure");
  const caption = document.createElement("figcaption");
  caption.append(...captions);
  element.append(board, caption);
  return element;
}

function line(className, text = "") {
  return Object.assign(document.createElement("span"), { className, textContent: text });
}

/** A bar from 0 to 1 that repeats what the text beside it says. */
function bar() {
  const element = line("bar");
  element.setAttribute("aria-hidden", "true");
  return { element, set: (share) => element.style.setProperty("--share", `${(100 * share).toFixed(1)}%`) };
}

function showSolutions({ solutions, clues }, spec, width) {
  at("abstained").hidden = solutions.length > 0;
  at("solutions").replaceChildren(...solutions.map((solution, index) => {
    const answer = drawn(spec).picture(spec, clues);
    answer.paint(solution.board, `solution ${index + 1}: ${solution.text}`);
    const votes = bar();
    votes.set(solution.votes / width);
    const weighted = Math.abs(solution.weight - solution.votes / width) > 0.005;
    return figure(
      answer.element,
      line("name", `solution ${index + 1}`),
      line("votes", `${solution.votes} of ${width} agree` + (weighted ? `, weight ${solution.weight.toFixed(2)}` : "")),
      votes.element,
      line("hint", percent(solution.confidence)),
    );
  }));
}

const SYMBOLS = { // how many a cell may hold, and what that means
  sudoku: ({ n }) => [n, `all ${n} digits equally often`],
  queens: () => [2, "a queen as often as none"],
  graph: ({ colours }) => [colours, `all ${colours} colours equally often`],
  rules: ({ symbols }) => [symbols.length, `all ${symbols.length} symbols equally often`],
};

function showEntropy({ clues, entropy }, spec) {
  const [symbols, meaning] = SYMBOLS[spec.kind](spec);
  const most = Math.log(symbols);
  at("entropy").replaceChildren(drawn(spec).heat(spec, clues, entropy, most));
  at("most").textContent = `${most.toFixed(2)} nats`;
  at("entropy-hint").textContent = `${most.toFixed(2)} = ln ${symbols}: ${meaning}.`;
}

/** The trajectories after segment 0 (the puzzle), 1, ... N. */
class Player {
  constructor(outcome, spec) {
    this.outcome = outcome;
    this.last = outcome.answers.length;
    this.index = new Map(outcome.solutions.map(({ board }, i) => [board, i + 1]));
    this.tiles = outcome.answers[0].map((_, k) => {
      const [board, verdict, sure, halt] = [drawn(spec).picture(spec, outcome.clues), line("name"), line("hint"), bar()];
      const element = figure(board.element, verdict, halt.element, sure);
      return { element, board, verdict, sure, halt, k };
    });
    at("trajectories").replaceChildren(...this.tiles.map(({ element }) => element));
    at("segment").max = this.last;
    at("segment").oninput = () => { this.pause(); this.show(Number(at("segment").value)); };
    at("segment").onkeydown = at("segment").onpointerdown = () => this.pause(); // also where it stands already
    at("play").onclick = () => (this.timer ? this.pause() : this.play());
    this.show(0);
  }

  play() {
    if (this.shown === this.last) this.show(0);
    at("play").textContent = "Pause";
    this.timer = setInterval(() => {
      this.show(this.shown + 1);
      if (this.shown === this.last) this.pause();
    }, MILLISECONDS);
  }

  pause() {
    clearInterval(this.timer);
    this.timer = null;
    at("play").textContent = "Play";
  }

  show(segment) {
    this.shown = segment;
    at("segment").value = segment;
    at("segment").setAttribute("aria-valuetext", `step ${segment} of ${this.last}`);
    at("segment-value").textContent = segment ? `step ${segment} of ${this.last}` : "the puzzle";
    for (const tile of this.tiles) {
      const right = segment > 0 && this.outcome.right[segment - 1][tile.k];
      const answer = segment ? this.outcome.answers[segment - 1][tile.k] : this.outcome.clues;
      const halt = segment ? this.outcome.halt[segment - 1][tile.k] : 0;
      const number = right ? this.index.get(answer) : undefined;
      const failed = segment === this.last && !right; // the rules have the last word: no bar says otherwise
      tile.verdict.textContent = right ? (number ? `✓ solution ${number}` : "✓ valid") : failed ? "✗ not valid" : "…";
      tile.sure.textContent = segment ? (failed && halt >= 0.5 ? `yet ${percent(halt)}` : percent(halt)) : "";
      tile.halt.set(halt);
      tile.halt.element.classList.toggle("none", failed);
      tile.element.classList.toggle("right", right);
      tile.board.paint(answer, `trajectory ${tile.k + 1}: ${tile.verdict.textContent}`);
    }
  }
}
