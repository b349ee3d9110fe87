// The page: offers boards and settings, sends puzzles, and shows what comes back.

import { ask, think } from "./ask.js";
import { Editor } from "./editor.js";
import { GraphEditor } from "./graph_editor.js";
import { markStale, showOutcome } from "./results.js";
import { RulesEditor } from "./rules_editor.js";

const at = (id) => document.getElementById(id);
const say = (sentence) => { at("error").textContent = sentence; };
const SLIDERS = ["segments", "particles", "temperature"];

function start({ boards, samplers, limits, start: first }) {
  let board, editor, running = null, solved = null; // the wish of the outcome shown, as text
  const edited = (text) => { at("text").value = text; say(""); refresh(); };
  const [grids, graphs] = [new Editor(at("editor"), edited, say), new GraphEditor(at("editor"), edited)];
  const rules = new RulesEditor(at("editor"), show, say);

  function openBoard(chosen, text = Object.values(chosen.examples)[0] ?? "") {
    board = chosen;
    editor = { graph: graphs, rules }[board.kind] ?? grids;
    at("text").rows = board.kind === "rules" ? 12 : 2;
    at("board").value = board.name;
    editor.open(board);
    at("editor-hint").textContent = editor.hint;
    at("text-hint").textContent = `${editor.spelling}.`;
    at("examples").replaceChildren(...Object.entries(board.examples).map(([name, example]) => {
      const button = Object.assign(document.createElement("button"), { type: "button", textContent: name });
      button.addEventListener("click", () => show(example));
      return button;
    }));
    at("examples-title").hidden = !at("examples").children.length;
    show(text);
  }

  /** Show a puzzle of this board as it is typed. */
  function show(text) {
    at("text").value = editor.read(text) ? text : editor.text;
    at("text").setAttribute("aria-invalid", false);
    say("");
    refresh();
  }

  /** Show a puzzle however it was pasted, on the board that it is for. Throws: Error if it is none. */
  async function openPasted(text) {
    const { kind, n, text: tidy } = await ask("read", { text });
    const found = boards.find((other) => other.kind === kind && other.n === n);
    if (!found) throw new Error(`Nothing is trained on this size of board; there are ${boards.map(({ title }) => title).join(", ")}.`);
    if (found === board) show(tidy);
    else openBoard(found, tidy);
  }

  at("board").replaceChildren(...boards.map(({ title, name }) => new Option(title, name)));
  at("board").addEventListener("change", () => openBoard(boards[at("board").selectedIndex]));
  at("editor").addEventListener("paste", (event) => {
    const text = event.clipboardData.getData("text").trim();
    if (text.length < 2) return; // a digit
    event.preventDefault();
    openPasted(text).catch((problem) => say(problem.message));
  });
  at("text").addEventListener("input", async ({ inputType }) => {
    const text = at("text").value;
    const valid = editor.read(text.trim());
    at("text").setAttribute("aria-invalid", !valid);
    say("");
    refresh();
    if (!valid && inputType !== "insertText") {
      await openPasted(text).catch((problem) => inputType?.startsWith("insert") && say(problem.message));
    }
  });

  for (const name of ["segments", "particles"]) Object.assign(at(name), { max: limits[name], value: first[name] });
  at("temperature").max = limits.temperature;
  at("seed").value = first.seed;
  at("sampler").replaceChildren(...samplers.map(({ name }) => new Option(name.replaceAll("_", " "), name)));
  at("sampler").addEventListener("change", chooseSampler);
  at("form").addEventListener("input", refresh);
  at("settings").open = !matchMedia("(max-width: 56rem)").matches;

  function chooseSampler() {
    const { about, temperature } = samplers[at("sampler").selectedIndex];
    at("sampler-about").textContent = about;
    at("temperature").disabled = temperature === null;
    at("temperature").value = temperature ?? 1;
    refresh();
  }

  function wish() {
    const fields = {
      kind: board.kind,
      text: at("text").value.trim(),
      sampler: at("sampler").value,
      num_particles: Number(at("particles").value),
      num_segments: Number(at("segments").value),
      seed: at("seed").value === "" ? null : Number(at("seed").value),
    };
    return at("temperature").disabled ? fields : { ...fields, temperature: Number(at("temperature").value) };
  }

  /** Write what the sliders say, and mark an outcome that is not of this puzzle and these settings. */
  function refresh() {
    for (const name of SLIDERS) at(`${name}-value`).textContent = name === "temperature" ? Number(at(name).value).toFixed(1) : at(name).value;
    if (solved) markStale(solved !== JSON.stringify(wish()));
  }

  async function solve() {
    if (running) return;
    const asked = wish();
    running = new AbortController();
    busy(true);
    say("");
    tell("Waiting for its turn…", null);
    try {
      const outcome = await think(asked, ({ done, of }) => tell(`Thinking: step ${done} of ${of}`, done / of), running.signal);
      solved = JSON.stringify(asked);
      showOutcome(outcome, { ...boards.find(({ kind, n }) => kind === outcome.kind && n === outcome.n), ...outcome.spec });
      refresh();
    } catch (problem) {
      say(problem.name === "AbortError" ? "Cancelled." : problem.message);
    } finally {
      running = null;
      busy(false);
    }
  }

  function busy(is) {
    const held = document.activeElement; // a button that goes must not take the focus with it
    at("solve").hidden = is;
    at("running").hidden = !is;
    at("results").setAttribute("aria-busy", is);
    if (held === at("solve")) at("cancel").focus();
    if (held === at("cancel")) at("solve").focus();
  }

  function tell(sentence, share) {
    at("progress-text").textContent = sentence;
    if (share === null) at("progress").removeAttribute("value");
    else at("progress").value = share;
  }

  at("text").addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || board.kind === "rules") return;
    event.preventDefault();
    at("form").requestSubmit();
  });
  at("form").addEventListener("submit", (event) => { event.preventDefault(); solve(); });
  at("cancel").addEventListener("click", () => running?.abort());
  document.addEventListener("keydown", ({ key }) => key === "Escape" && running?.abort());
  openBoard(boards.find(({ name }) => name === first.board) ?? boards[0]);
  chooseSampler();
}

ask("boards").then(start).catch((problem) => say(problem.message));
