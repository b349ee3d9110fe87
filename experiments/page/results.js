// What trajectories found: a player of their answers, the distinct solutions, and the entropy of the cells.

import { heat, picture } from "./board.js";

const at = (id) => document.getElementById(id);
const MILLISECONDS = 700; // per segment
const count = (number, noun) => `${number} ${noun}${number === 1 ? "" : "s"}`;

let player = null; // of the outcome shown now

/** Show an outcome of the server on boards of this spec. */
export function showOutcome(outcome, spec) {
  const width = outcome.answers[0].length;
  const right = outcome.right.at(-1).filter(Boolean).length;
  at("status").textContent =
    `${count(outcome.solutions.length, "distinct valid solution")}; ${right} of ${count(width, "trajectory").replace("ys", "ies")} ` +
    `valid; ${outcome.seconds.toFixed(1)} s`;
  at("empty").hidden = true;
  at("found").hidden = false;
  showSolutions(outcome, spec, width);
  showEntropy(outcome, spec);
  if (matchMedia("(max-width: 56rem)").matches) at("results").scrollIntoView(); // below the form there
  player?.pause();
  player = new Player(outcome, spec);
  if (matchMedia("(prefers-reduced-motion: reduce)").matches) player.show(player.last);
  else player.play();
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
    const board = picture(spec, clues);
    board.paint(solution.board, `solution ${index + 1}: ${solution.text}`);
    const votes = bar();
    votes.set(solution.votes / width);
    const weighted = Math.abs(solution.weight - solution.votes / width) > 0.005;
    return figure(
      board.element,
      line("name", `solution ${index + 1}`),
      line("votes", `${solution.votes} of ${width} agree` + (weighted ? `, weight ${solution.weight.toFixed(2)}` : "")),
      votes.element,
      line("hint", `confidence ${solution.confidence.toFixed(3)}`),
    );
  }));
}

function showEntropy({ clues, entropy }, spec) {
  const symbols = spec.kind === "queens" ? 2 : spec.n;
  const most = Math.log(symbols);
  at("entropy").replaceChildren(heat(spec, clues, entropy, most));
  at("most").textContent = `${most.toFixed(2)} nats`;
  at("entropy-hint").textContent = spec.kind === "queens"
    ? "0.69 = ln 2: a queen as often as none."
    : `${most.toFixed(2)} = ln ${symbols}: all ${symbols} digits equally often.`;
}

/** The trajectories after segment 0 (the puzzle), 1, ... N. */
class Player {
  constructor(outcome, spec) {
    this.outcome = outcome;
    this.last = outcome.answers.length;
    this.index = new Map(outcome.solutions.map(({ board }, i) => [board, i + 1]));
    this.tiles = outcome.answers[0].map((_, k) => {
      const [board, verdict, sure, halt] = [picture(spec, outcome.clues), line("name"), line("hint"), bar()];
      const element = figure(board.element, verdict, halt.element, sure);
      return { element, board, verdict, sure, halt, k };
    });
    at("trajectories").replaceChildren(...this.tiles.map(({ element }) => element));
    at("segment").max = this.last;
    at("segment").oninput = () => { this.pause(); this.show(Number(at("segment").value)); };
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
    at("segment").setAttribute("aria-valuetext", `segment ${segment} of ${this.last}`);
    at("segment-value").textContent = segment ? `segment ${segment} of ${this.last}` : "the puzzle";
    for (const tile of this.tiles) {
      const right = segment > 0 && this.outcome.right[segment - 1][tile.k];
      const answer = segment ? this.outcome.answers[segment - 1][tile.k] : this.outcome.clues;
      const halt = segment ? this.outcome.halt[segment - 1][tile.k] : 0;
      const number = right ? this.index.get(answer) : undefined;
      tile.verdict.textContent = right ? (number ? `✓ solution ${number}` : "✓ valid") : segment === this.last ? "✗ not valid" : "…";
      tile.sure.textContent = segment ? `halt ${halt.toFixed(3)}` : "";
      tile.halt.set(halt);
      tile.element.classList.toggle("right", right);
      tile.board.paint(answer, `trajectory ${tile.k + 1}: ${tile.verdict.textContent}`);
    }
  }
}
