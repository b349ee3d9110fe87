// The page: asks the server what there is, sends puzzles, and shows what comes back.

import { Editor } from "./editor.js";
import { showOutcome } from "./results.js";

const at = (id) => document.getElementById(id);
const say = (sentence) => { at("error").textContent = sentence; };

/** JSON from the server. Throws: Error with a sentence to show. */
async function ask(path, wish) {
  const options = wish && { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(wish) };
  let reply;
  try {
    reply = await fetch(path, options);
  } catch {
    throw new Error("The server does not answer. Is demo.py still running?");
  }
  const found = await reply.json().catch(() => ({ error: "The server failed; its terminal says why." }));
  if (!reply.ok) throw new Error(found.error);
  return found;
}

function start({ boards, samplers, limits, start: first }) {
  let board;
  const editor = new Editor(at("editor"), (text) => { at("text").value = text; say(""); }, say);

  function openBoard(chosen, text = Object.values(chosen.examples)[0] ?? "") {
    board = chosen;
    editor.open(board);
    if (!editor.read(text)) text = editor.text;
    at("text").value = text;
    const sudoku = board.kind === "sudoku";
    at("editor-hint").textContent = sudoku
      ? "Type in the cells, or mark one and choose a digit. Arrow keys move."
      : "Click a square to put a queen there or take it off. Arrow keys move, space sets.";
    at("text-hint").textContent = sudoku
      ? `${board.n ** 2} characters, row by row; . for a blank`
      : `${board.n} characters: for every row the column of its queen, from 0, or .`;
    at("examples").replaceChildren(...Object.entries(board.examples).map(([name, example]) => {
      const button = Object.assign(document.createElement("button"), { type: "button", textContent: name });
      button.addEventListener("click", () => { editor.read(example); at("text").value = example; say(""); });
      return button;
    }));
  }

  at("boards").replaceChildren(...boards.map((chosen, index) => {
    const label = document.createElement("label");
    const radio = Object.assign(document.createElement("input"), { type: "radio", name: "board", checked: index === 0 });
    radio.addEventListener("change", () => { openBoard(chosen); say(""); });
    label.append(radio, Object.assign(document.createElement("span"), { textContent: chosen.title }));
    return label;
  }));
  at("text").addEventListener("input", async () => {
    say("");
    const text = at("text").value, { kind } = board;
    const valid = editor.read(text.trim());
    at("text").setAttribute("aria-invalid", !valid);
    if (valid) return;
    const tidy = await ask("read", { kind, text }).catch(() => null); // a pasted grid: spaces, bars, several lines
    if (tidy && kind === board.kind && at("text").value === text && editor.read(tidy.text)) {
      at("text").value = tidy.text;
      at("text").setAttribute("aria-invalid", false);
    }
  });

  for (const name of ["segments", "particles"]) {
    Object.assign(at(name), { max: limits[name], value: first[name] });
    at(`${name}-limit`).textContent = `at most ${limits[name]}`;
    at(name).addEventListener("input", write);
  }
  at("seed").value = first.seed;
  at("temperature").max = limits.temperature;
  at("temperature").addEventListener("input", write);
  at("sampler").replaceChildren(...samplers.map(({ name }) => new Option(name.replaceAll("_", " "), name)));
  at("sampler").addEventListener("change", chooseSampler);

  function chooseSampler() {
    const { about, temperature } = samplers[at("sampler").selectedIndex];
    at("sampler-about").textContent = about;
    at("temperature").disabled = temperature === null;
    at("temperature").value = temperature ?? 1;
    at("temperature-hint").textContent = temperature === null
      ? "fixed at 1 for this sampler"
      : `of the prior; 1 is as trained, 0 is without noise; at most ${limits.temperature}`;
    write();
  }

  function write() {
    for (const name of ["segments", "particles"]) at(`${name}-value`).textContent = at(name).value;
    at("temperature-value").textContent = Number(at("temperature").value).toFixed(1);
  }

  async function solve() {
    const wish = {
      kind: board.kind,
      text: at("text").value.trim(),
      sampler: at("sampler").value,
      num_particles: Number(at("particles").value),
      num_segments: Number(at("segments").value),
      seed: at("seed").value === "" ? null : Number(at("seed").value),
    };
    if (!at("temperature").disabled) wish.temperature = Number(at("temperature").value);
    at("solve").disabled = true;
    at("results").setAttribute("aria-busy", "true");
    at("status").textContent = "Thinking…";
    say("");
    try {
      const outcome = await ask("solve", wish);
      showOutcome(outcome, boards.find(({ kind, n }) => kind === outcome.kind && n === outcome.n));
    } catch (problem) {
      at("status").textContent = "";
      say(problem.message);
    } finally {
      at("solve").disabled = false;
      at("results").setAttribute("aria-busy", "false");
    }
  }

  at("text").addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey) return;
    event.preventDefault();
    at("form").requestSubmit();
  });
  at("form").addEventListener("submit", (event) => { event.preventDefault(); solve(); });
  openBoard(boards[0]);
  chooseSampler();
}

ask("boards").then(start).catch((problem) => say(problem.message));
