// A graph on the page, its vertices on a circle. Its symbols are a string: for every pair of vertices, the upper triangle
// row by row, 1 (no edge) or 2 (edge); then for every vertex 0 (blank) or a colour from 3 on.

export const EDGE = "2";
const FIRST = 3; // the first colour
const SVG = "http://www.w3.org/2000/svg";
const COLOURS = ["blue", "orange", "green", "yellow", "purple", "grey"];

export function pairs(n) {
  return Array.from({ length: n }, (_, a) => a).flatMap((a) => Array.from({ length: n - a - 1 }, (_, i) => [a, a + i + 1]));
}

/** Where a vertex is, in percent of the width. */
export function spot(n, vertex) {
  const angle = 2 * Math.PI * (vertex / n) - Math.PI / 2;
  return [50 + 40 * Math.cos(angle), 50 + 40 * Math.sin(angle)];
}

function shape(tag, attributes, className, text = "") {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.setAttribute("class", className);
  element.textContent = text;
  return element;
}

export function lines(n, symbols) {
  return pairs(n).flatMap(([a, b], i) => {
    if (symbols[i] !== EDGE) return [];
    const [[x1, y1], [x2, y2]] = [spot(n, a), spot(n, b)];
    const [one, other] = [a, b].map((v) => symbols[pairs(n).length + v]);
    return [shape("line", { x1, y1, x2, y2 }, one !== "0" && one === other ? "edge wrong" : "edge")];
  });
}

/** An empty picture of a graph. */
export function canvas() {
  const svg = shape("svg", { viewBox: "0 0 100 100", role: "img" }, "board graph");
  return svg;
}

function vertices(n, describe) {
  return Array.from({ length: n }, (_, v) => {
    const [x, y] = spot(n, v);
    const { className, text, share } = describe(v);
    const circle = shape("circle", { cx: x, cy: y, r: 8 }, `vertex ${className}`);
    if (share !== undefined) circle.style.setProperty("--heat", `${Math.round(100 * share)}%`);
    return [circle, shape("text", { x, y }, `number ${className}`, text)];
  }).flat();
}

/** A graph to look at: `paint(symbols, label)` shows other symbols; an edge whose ends have one colour stands out. */
export function picture({ n }) {
  const svg = canvas();
  const paint = (symbols, label) => {
    const colours = [...symbols].slice(pairs(n).length);
    const name = (v) => (colours[v] < FIRST ? "blank" : COLOURS[colours[v] - FIRST]);
    svg.setAttribute("aria-label", `${label}; ${colours.map((_, v) => `${v + 1} ${name(v)}`).join(", ")}`);
    svg.replaceChildren(...lines(n, symbols), ...vertices(n, (v) => ({ className: name(v), text: v + 1 })));
  };
  return { element: svg, paint };
}

/** The entropy of every vertex as colour and number; `most` nats are the full colour. */
export function heat({ n }, clues, entropy, most) {
  const svg = canvas();
  const own = entropy.slice(pairs(n).length);
  const describe = (v) => ({ className: "warm", text: own[v].toFixed(2), share: Math.min(1, own[v] / most) });
  svg.replaceChildren(...lines(n, clues), ...vertices(n, describe));
  const top = own.indexOf(Math.max(...own));
  svg.setAttribute("aria-label", `Entropy of the vertices; the largest is ${own[top].toFixed(2)} nats at vertex ${top + 1}`);
  return svg;
}
