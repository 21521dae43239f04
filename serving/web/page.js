// The demo page: shows the outputs of a model for an image.

import { hasCamera, takePicture } from "./camera.js";
import { bestClasses, drawBars, drawMetrics, drawNumbers, drawReconstruction, element, emptyBars, percent } from "./drawing.js";
import { classify, imageInput, listModels, ServerError, useToken } from "./server.js";

const TINY = 64; // pixels; images up to this size are not smoothed
const LONG = 18; // characters; longer class names are written smaller
const get = (id) => document.getElementById(id);
const state = { models: [], mlflow: "", image: null, turn: 0 };

// Models

async function refresh() {
  const { models, mlflow_url } = await listModels();
  state.models = models.filter((each) => each.versions.length);
  state.mlflow = /^https?:\/\//.test(mlflow_url) ? mlflow_url.replace(/\/+$/, "") : "";
  get("token-form").hidden = true;
  const select = get("model");
  const wanted = select.value || decodeURIComponent(location.hash.slice(1));
  select.replaceChildren(...state.models.map(({ name }) => element("option", { value: name, textContent: name })));
  select.value = state.models.some(({ name }) => name === wanted) ? wanted : state.models[0]?.name ?? "";
  select.disabled = state.models.length < 2;
  showModel();
}

const chosen = () => state.models.find(({ name }) => name === get("model").value);

function showModel() {
  const model = chosen();
  get("version").textContent = model ? `version ${model.versions[0]}` : "";
  document.title = model ? `${model.name} · vision-tfx` : "vision-tfx";
  const { figures = [], warnings = [], mlflow } = model?.results ?? {};
  drawMetrics(get("metrics"), figures);
  get("warnings").textContent = warnings.map((each) => `Warning: ${each}.`).join(" ");
  get("warnings").hidden = !warnings.length;
  link("run", state.mlflow && mlflow && `${state.mlflow}/#/experiments/${mlflow.experiment_id}/runs/${mlflow.run_id}`);
  link("mlflow", state.mlflow);
  get("results").hidden = !figures.length && get("run").hidden;
  showCommands(model);
  if (!model) fail("No model is available yet. This page checks again when you return to it.");
}

function link(id, address) {
  get(id).hidden = !address;
  if (address) get(id).href = address;
}

function showCommands(model) {
  const base = location.href.replace(/[#?].*$/, "").replace(/\/+$/, "");
  const name = model?.name ?? "MODEL";
  const body = `{"instances": [{"b64": "'$(base64 < image.jpg | tr -d '\\n')'"}]}`;
  get("commands").textContent = [
    `vision-tfx predict --server ${base} --model ${name} image.jpg`,
    "",
    `curl -d '${body}' \\\n    ${base}/v1/models/${encodeURIComponent(name)}:predict`,
  ].join("\n");
}

// Image and prediction

async function show(image) {
  if (!image) return;
  state.image = image;
  const preview = get("preview");
  URL.revokeObjectURL(preview.src);
  preview.src = URL.createObjectURL(image);
  preview.onload = () => preview.classList.toggle("tiny", preview.naturalWidth <= TINY && preview.naturalHeight <= TINY);
  preview.onerror = () => { preview.hidden = true; get("invitation").hidden = false; };
  preview.hidden = false;
  get("invitation").hidden = true;
  get("drop").classList.add("filled");
  await predict();
}

async function predict() {
  if (!state.image) return;
  const turn = ++state.turn; // only the prediction of the newest image is drawn
  busy(true);
  try {
    const prediction = await timedOutputs();
    if (turn === state.turn) draw(prediction);
  } catch (error) {
    if (turn === state.turn) report(error);
  } finally {
    if (turn === state.turn) busy(false);
  }
}

async function timedOutputs() {
  const started = performance.now();
  try {
    return { outputs: await currentOutputs(), milliseconds: performance.now() - started };
  } catch (error) {
    if (error.status !== 404) throw error;
    await refresh(); // a newer version has replaced this one
    return { outputs: await currentOutputs(), milliseconds: performance.now() - started };
  }
}

async function currentOutputs() {
  const model = chosen();
  if (!model) throw new ServerError("No model is available yet.");
  const input = await imageInput(model.name, model.versions[0]);
  if (input === null) throw new ServerError(`${model.name} does not accept encoded images, which this page sends.`);
  return classify(model.name, model.versions[0], input, state.image);
}

function draw({ outputs, milliseconds }) {
  const classes = bestClasses(outputs);
  if (classes.length) drawBars(get("bars"), classes);
  else get("bars").replaceChildren();
  const numbers = drawNumbers(get("numbers"), outputs);
  drawReconstruction(get("reconstruction"), outputs.reconstruction);
  const time = `answered in ${Math.max(1, Math.round(milliseconds))} ms`;
  const [best] = classes;
  if (best) announce(best.name, `${percent(best.score)}, ${time}`);
  else if (numbers.length) announce("", time[0].toUpperCase() + time.slice(1), `${numbers.join(", ")}, `); // for screen readers; the table shows the numbers
  else fail("The model returns neither classes nor single numbers, so there is nothing to show.");
}

function announce(best, rest, unseen = "") {
  get("error").hidden = true;
  const parts = [element("span", { className: "hidden", textContent: unseen }), rest];
  if (best) parts.unshift(element("strong", { textContent: best, className: best.length > LONG ? "long" : "" }), " ");
  get("outcome").replaceChildren(...parts);
}

function report(error) {
  if (error.status === 401) {
    get("token-form").hidden = false;
    get("token").focus();
    return fail(error.message);
  }
  const unreadable = /image file format|decode|b64/i.test(error.message) && error.status === 400;
  return fail(unreadable ? "The model cannot decode this file. It accepts JPEG, PNG, GIF and BMP images." : error.message);
}

function fail(message) {
  get("bars").replaceChildren();
  get("numbers").replaceChildren();
  get("reconstruction").hidden = true;
  get("outcome").textContent = "No prediction.";
  get("error").textContent = message.split("\n")[0];
  get("error").hidden = false;
}

function busy(on) {
  document.querySelector(".prediction").classList.toggle("busy", on);
  document.querySelector(".prediction").ariaBusy = String(on);
}

// Input: file, drop, paste, camera

const firstImage = (items) => [...items].find((file) => file instanceof Blob);

function listen() {
  const drop = get("drop");
  get("choose").onclick = () => get("file").click();
  get("file").onchange = ({ target }) => {
    show(firstImage(target.files));
    target.value = ""; // the same file may be chosen again
  };
  addEventListener("dragover", (event) => { event.preventDefault(); drop.classList.add("over"); });
  addEventListener("dragleave", (event) => { if (!event.relatedTarget) drop.classList.remove("over"); });
  addEventListener("drop", (event) => {
    event.preventDefault();
    drop.classList.remove("over");
    show(firstImage(event.dataTransfer.files));
  });
  addEventListener("paste", (event) => show(firstImage(event.clipboardData.files)));

  get("camera").hidden = !hasCamera();
  get("camera").onclick = async () => {
    try {
      show(await takePicture(get("viewfinder")));
    } catch (error) {
      fail(`The camera cannot be used: ${error.message}`);
    }
  };

  get("model").onchange = () => {
    history.replaceState(null, "", `#${encodeURIComponent(get("model").value)}`);
    showModel();
    predict();
  };
  get("token-form").onsubmit = (event) => {
    event.preventDefault();
    useToken(get("token").value);
    begin();
  };
  get("copy").onclick = async () => {
    await navigator.clipboard.writeText(get("commands").textContent);
    get("copy").textContent = "Copied";
  };
  // A new version may have become available while the page was hidden.
  addEventListener("visibilitychange", () => { if (!document.hidden) refresh().catch(report); });
}

async function begin() {
  try {
    await refresh();
    get("error").hidden = Boolean(chosen());
    if (chosen()) get("outcome").textContent = "Choose an image.";
    if (chosen()) emptyBars(get("bars"));
    await predict();
  } catch (error) {
    report(error);
  }
}

emptyBars(get("bars"));
listen();
begin();
