// The graph one draws: vertices are buttons; press two of them, and the edge between them comes or goes.

import { canvas, EDGE, lines, pairs, spot } from "./graph.js";

export class GraphEditor {
  /** `changed(text)` is called after every edit. */
  constructor(container, changed) {
    Object.assign(this, { container, changed });
  }

  hint = "Press two vertices, and the edge between them comes or goes. Or paste a graph.";
  spelling = "The graph as graph6, or its edges as 1-2,2-3";

  /** Show a graph without edges. */
  open(spec) {
    Object.assign(this, { spec, marked: null, symbols: pairs(spec.n).map(() => "1") });
    this.drawing = canvas();
    this.drawing.setAttribute("aria-hidden", "true"); // the buttons say it all
    this.vertices = Array.from({ length: spec.n }, (_, v) => this.vertex(v));
    this.board = document.createElement("div");
    this.board.className = "board drawing";
    this.board.setAttribute("role", "group");
    this.board.setAttribute("aria-label", `${spec.title}, to be drawn`);
    this.board.append(this.drawing, ...this.vertices);
    this.container.replaceChildren(this.board);
    this.draw();
  }

  /** The graph as graph6: the number of vertices, then the upper triangle column by column, six bits a character. */
  get text() {
    const { n } = this.spec;
    const bits = columns(n).map(([a, b]) => (this.symbols[index(n, a, b)] === EDGE ? "1" : "0")).join("");
    const six = bits.padEnd(6 * Math.ceil(bits.length / 6), "0").match(/.{6}/g) ?? [];
    return String.fromCharCode(63 + n, ...six.map((digits) => 63 + parseInt(digits, 2)));
  }

  /** Show a graph that came as graph6 or as edges. Returns: whether it is one for this board; if not, the board stays. */
  read(text) {
    const { n } = this.spec;
    const edges = /^\d+-\d+(\s*,\s*\d+-\d+)*$/.test(text) ? fromList(text) : fromGraph6(text, n);
    if (!edges || edges.some(([a, b]) => a === b || Math.min(a, b) < 0 || Math.max(a, b) >= n)) return false;
    this.symbols.fill("1");
    for (const [a, b] of edges) this.symbols[index(n, a, b)] = EDGE;
    this.draw();
    return true;
  }

  vertex(v) {
    const button = Object.assign(document.createElement("button"), { type: "button", textContent: v + 1 });
    const [left, top] = spot(this.spec.n, v);
    Object.assign(button.style, { left: `${left}%`, top: `${top}%` });
    button.addEventListener("click", () => this.press(v));
    return button;
  }

  press(v) {
    const other = this.marked;
    this.marked = other === null ? v : null;
    if (other === null || other === v) return this.draw();
    const pair = index(this.spec.n, v, other);
    this.symbols[pair] = this.symbols[pair] === EDGE ? "1" : EDGE;
    this.draw();
    this.changed(this.text);
  }

  draw() {
    const { n } = this.spec;
    this.drawing.replaceChildren(...lines(n, [...this.symbols, ..."0".repeat(n)]));
    this.vertices.forEach((button, v) => {
      const near = this.vertices.flatMap((_, u) => (u !== v && this.symbols[index(n, u, v)] === EDGE ? [u + 1] : []));
      button.setAttribute("aria-pressed", v === this.marked);
      button.setAttribute("aria-label", `vertex ${v + 1}, joined to ${near.join(", ") || "none"}`);
    });
  }
}

/** The number of the pair of two vertices among `pairs(n)`. */
function index(n, u, v) {
  const [a, b] = [Math.min(u, v), Math.max(u, v)];
  return a * n - (a * (a + 1)) / 2 + b - a - 1;
}

/** All pairs, the upper triangle column by column. */
function columns(n) {
  return pairs(n).sort(([a, b], [c, d]) => b - d || a - c);
}

function fromList(text) {
  return text.split(",").map((edge) => edge.split("-").map((vertex) => Number(vertex) - 1));
}

function fromGraph6(text, n) {
  const order = columns(n);
  const codes = [...text].map((c) => c.charCodeAt(0) - 63);
  if (codes[0] !== n || codes.length !== 1 + Math.ceil(order.length / 6) || codes.some((c) => c < 0 || c > 63)) return null;
  const bits = codes.slice(1).map((c) => c.toString(2).padStart(6, "0")).join("");
  return order.filter((_, i) => bits[i] === "1");
}
