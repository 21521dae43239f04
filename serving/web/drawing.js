// Draws what a model answers, and how good it is.

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

/** The best labels of one answer, best first; none for models that give no labels. */
export function bestLabels(outputs) {
  if (!Array.isArray(outputs.classes) || !Array.isArray(outputs.scores)) return [];
  return outputs.classes.slice(0, BARS).map((label, i) => ({ label: String(label), score: outputs.scores[i] ?? 0 }));
}

export function drawBars(list, labels) {
  list.classList.remove("empty");
  list.toggleAttribute("aria-hidden", false);
  list.replaceChildren(...labels.map(({ label, score }) => bar(label, percent(score), score)));
}

function bar(label, score, share) {
  const filled = element("span", { className: "bar" });
  filled.style.width = `${100 * share}%`;
  return element(
    "li",
    {},
    element("span", { className: "label", textContent: label }),
    element("span", { className: "score", textContent: score }),
    element("span", { className: "track", ariaHidden: "true" }, filled),
  );
}

/** Single numbers, such as a squared error or a log-probability. */
export function drawNumbers(list, outputs) {
  const numbers = Object.entries(outputs).filter(([, value]) => typeof value === "number");
  list.replaceChildren(...numbers.map(([name, value]) => pair(name.replaceAll("_", " "), value.toFixed(2))));
  return numbers.map(([name, value]) => `${name.replaceAll("_", " ")} ${value.toFixed(2)}`);
}

function pair(term, value) {
  return element("div", {}, element("dt", { textContent: term }), element("dd", { textContent: value }));
}

/** An image [height][width][channels] in [0, 1]; hides the figure where there is none. */
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

/** The model's figures, such as its errors on the test images, with their intervals. */
export function drawFigures(list, figures) {
  list.replaceChildren(
    ...figures.map(({ name, split, value, unit, low, high }) => {
      const interval = low === undefined ? [] : [element("dd", { className: "interval", textContent: `95 % confidence ${low.toFixed(2)} to ${high.toFixed(2)}` })];
      const number = element("dd", { textContent: `${value.toFixed(2)} ` }, element("span", { className: "unit", textContent: unit }));
      return element("div", {}, element("dt", { textContent: `${name}, ${split}` }), number, ...interval);
    }),
  );
}
