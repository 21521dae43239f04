// The server: the same REST API that every client of TensorFlow Serving uses, and the list of its models.
// Addresses are relative, so that the page works below a path of a reverse proxy too.

const TOKEN = "vision-tfx-token";

/** What the server, or the way to it, said instead of an answer. */
export class ServerError extends Error {
  constructor(message, status = 0) {
    super(message);
    this.status = status;
  }
}

export function useToken(token) {
  sessionStorage.setItem(TOKEN, token);
}

/** Models by name and version, their results, and the address of MLflow. */
export function listModels() {
  return ask("models.json");
}

/** The input of the default signature that takes encoded images; null if it takes none. */
export async function imageInput(model, version) {
  const said = await ask(`${path(model, version)}/metadata`);
  const inputs = Object.entries(said.metadata.signature_def.signature_def.serving_default?.inputs ?? {});
  const [name, info] = inputs[0] ?? [];
  return inputs.length === 1 && info.dtype === "DT_STRING" ? name : null;
}

/** The outputs for one encoded image, each without its batch axis. */
export async function classify(model, version, input, image) {
  const body = JSON.stringify({ inputs: { [input]: [{ b64: await base64(image) }] } });
  const { outputs } = await ask(`${path(model, version)}:predict`, { method: "POST", body });
  if (Array.isArray(outputs)) return { answer: outputs[0] };
  return Object.fromEntries(Object.entries(outputs).map(([name, batch]) => [name, batch[0]]));
}

function path(model, version) {
  return `v1/models/${encodeURIComponent(model)}/versions/${version}`;
}

async function ask(address, options = {}) {
  const token = sessionStorage.getItem(TOKEN);
  const headers = { "Content-Type": "application/json", ...(token ? { Authorization: `Bearer ${token}` } : {}) };
  let response, text;
  try {
    response = await fetch(address, { ...options, headers, cache: "no-store" });
    text = await response.text();
  } catch {
    throw new ServerError("The server cannot be reached. Is it still running?");
  }
  const said = parse(text);
  if (!response.ok) throw new ServerError(said?.error ?? `The server answers with status ${response.status}.`, response.status);
  if (said === undefined) throw new ServerError("The server's answer is no JSON.");
  return said;
}

/** JSON, and the NaN and Infinity that TensorFlow Serving writes; undefined if it is none. */
function parse(text) {
  for (const candidate of [text, text.replace(/([[:,\s])(-?Infinity|NaN)(?=[\s,\]}])/g, "$1null")]) {
    try {
      return JSON.parse(candidate);
    } catch { /* the next */ }
  }
  return undefined;
}

function base64(blob) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result.slice(reader.result.indexOf(",") + 1));
    reader.onerror = () => reject(new ServerError("This file cannot be read."));
    reader.readAsDataURL(blob);
  });
}
