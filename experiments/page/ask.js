// What the page asks the server. Throws: Error with a sentence to show; AbortError if the user cancelled.

const FAILED = "The server failed; its terminal says why.";

async function request(path, wish, signal) {
  const post = { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(wish) };
  const reply = await fetch(path, { ...(wish && post), signal }).catch((problem) => {
    throw problem.name === "AbortError" ? problem : new Error("The server does not answer. Is the demo still running?");
  });
  if (reply.ok) return reply;
  const { error } = await reply.json().catch(() => ({ error: FAILED }));
  throw new Error(error);
}

/** JSON from the server. */
export async function ask(path, wish) {
  return (await request(path, wish)).json();
}

/** The outcome of a puzzle; `step({done, of})` is called when its turn comes and after every segment. */
export async function think(wish, step, signal) {
  const reply = await request("solve", wish, signal);
  let outcome;
  for await (const line of lines(reply.body)) {
    if ("done" in line) step(line);
    else outcome = line;
  }
  if (!outcome) throw new Error(FAILED);
  return outcome;
}

async function* lines(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  for (let rest = ""; ;) {
    const { value, done } = await reader.read();
    if (done) return;
    const parts = (rest + value).split("\n");
    rest = parts.pop();
    yield* parts.map((part) => JSON.parse(part));
  }
}
