// Draws the outputs of a model and its evaluation results.

const BARS = 5;

export function element(name, attributes = {}, ...children) {
  const made = Object.assign(document.createElement(name), attributes);
  made.append(...children);
  return made;
}

export function percent(share) {
  return `${(100 * share).toFixed(2)} %`;
}

export function emptyBars(list) {
  list.classList.add("empty");
  list.setAttribute("aria-hidden", "true");
  list.replaceChildren(...Array.from({ length: BARS }, () => bar("", "", 0)));
}

/** The best classes of one prediction, best first; empty for models without classes. */
export function bestClasses(outputs) {
  if (!Array.isArray(outputs.classes) || !Array.isArray(outputs.scores)) return [];
  return outputs.classes.slice(0, BARS).map((name, i) => ({ name: String(name), score: outputs.scores[i] ?? 0 }));
}

export function drawBars(list, classes) {
  list.classList.remove("empty");
  list.toggleAttribute("aria-hidden", false);
  list.replaceChildren(...classes.map(({ name, score }) => bar(name, percent(score), score)));
}

function bar(name, score, share) {
  const filled = element("span", { className: "bar" });
  filled.style.width = `${100 * share}%`;
  return element(
    "li",
    {},
    element("span", { className: "class-name", textContent: name }),
    element("span", { className: "score", textContent: score }),
    element("span", { className: "track", ariaHidden: "true" }, filled),
  );
}

/** Draws the outputs that are a single number, such as a squared error; returns them as texts. */
export function drawNumbers(list, outputs) {
  const numbers = Object.entries(outputs).filter(([, value]) => typeof value === "number");
  list.replaceChildren(...numbers.map(([name, value]) => pair(name.replaceAll("_", " "), value.toFixed(2))));
  return numbers.map(([name, value]) => `${name.replaceAll("_", " ")} ${value.toFixed(2)}`);
}

function pair(term, value) {
  return element("div", {}, element("dt", { textContent: term }), element("dd", { textContent: value }));
}

/** Draws an image [height][width][channels] in [0, 1]; hides the figure if there is no image. */
export function drawReconstruction(figure, image) {
  figure.hidden = !Array.isArray(image?.[0]?.[0]);
  if (figure.hidden) return;
  const canvas = figure.querySelector("canvas");
  [canvas.height, canvas.width] = [image.length, image[0].length];
  const context = canvas.getContext("2d");
  const pixels = context.createImageData(canvas.width, canvas.height);
  image.flat().forEach((channels, i) => {
    for (let c = 0; c < 3; c++) pixels.data[4 * i + c] = 255 * channels[Math.min(c, channels.length - 1)];
    pixels.data[4 * i + 3] = 255;
  });
  context.putImageData(pixels, 0, 0);
}

/** Draws metrics, such as the error on the test images, with their confidence intervals. */
export function drawMetrics(list, metrics) {
  list.replaceChildren(
    ...metrics.map(({ name, split, value, unit, low, high }) => {
      const interval = low === undefined ? [] : [element("dd", { className: "interval", textContent: `95 % confidence ${low.toFixed(2)} to ${high.toFixed(2)}` })];
      const number = element("dd", { textContent: `${value.toFixed(2)} ` }, element("span", { className: "unit", textContent: unit }));
      return element("div", {}, element("dt", { textContent: `${name}, ${split}` }), number, ...interval);
    }),
  );
}
