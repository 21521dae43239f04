// Client of the server: the REST API that every client of TensorFlow Serving uses, and the list of models.
// Addresses are relative, so that the page also works below a path of a reverse proxy.

const TOKEN = "vision-tfx-token";

/** An error that the server returned, or a failure to reach it. */
export class ServerError extends Error {
  constructor(message, status = 0) {
    super(message);
    this.status = status;
  }
}

export function useToken(token) {
  sessionStorage.setItem(TOKEN, token);
}

/** Returns the models with their versions and results, and the address of MLflow. */
export function listModels() {
  return request("models.json");
}

/** Returns the input of the default signature that accepts encoded images; null if there is none. */
export async function imageInput(model, version) {
  const { metadata } = await request(`${path(model, version)}/metadata`);
  const inputs = Object.entries(metadata.signature_def.signature_def.serving_default?.inputs ?? {});
  const [name, info] = inputs[0] ?? [];
  return inputs.length === 1 && info.dtype === "DT_STRING" ? name : null;
}

/** Returns the outputs for one encoded image, each without its batch axis. */
export async function classify(model, version, input, image) {
  const body = JSON.stringify({ inputs: { [input]: [{ b64: await base64(image) }] } });
  const { outputs } = await request(`${path(model, version)}:predict`, { method: "POST", body });
  if (Array.isArray(outputs)) return { output: outputs[0] };
  return Object.fromEntries(Object.entries(outputs).map(([name, batch]) => [name, batch[0]]));
}

function path(model, version) {
  return `v1/models/${encodeURIComponent(model)}/versions/${version}`;
}

async function request(address, options = {}) {
  const token = sessionStorage.getItem(TOKEN);
  const headers = { "Content-Type": "application/json", ...(token ? { Authorization: `Bearer ${token}` } : {}) };
  let response, text;
  try {
    response = await fetch(address, { ...options, headers, cache: "no-store" });
    text = await response.text();
  } catch {
    throw new ServerError("The server cannot be reached. Is it still running?");
  }
  const content = parse(text);
  if (!response.ok) throw new ServerError(content?.error ?? `The server returned status ${response.status}.`, response.status);
  if (content === undefined) throw new ServerError("The server's response is not JSON.");
  return content;
}

/** Parses JSON with the NaN and Infinity that TensorFlow Serving writes; returns undefined if it is not JSON. */
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
