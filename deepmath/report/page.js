"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const slider = document.getElementById("epoch");
  if (!slider) return;
  const { fixed, frames } = data;
  const view = document.getElementById("view"), told = document.getElementById("told"), play = document.getElementById("play");
  const SVG = "http://www.w3.org/2000/svg";

  function make(tag, attributes = {}, ...children) {
    const spaced = ["svg", "path", "rect", "line", "text"].includes(tag);
    const node = spaced ? document.createElementNS(SVG, tag) : document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
    node.append(...children);
    return node;
  }

  // A shape of its own for each class, so that colour isn't all that tells them apart.
  const SHAPES = [
    (x, y, r) => `M${x - r} ${y}a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0`,
    (x, y, r) => `M${x - r} ${y - r}h${2 * r}v${2 * r}h${-2 * r}z`,
    (x, y, r) => `M${x} ${y - r}L${x + r} ${y + r}H${x - r}z`,
    (x, y, r) => `M${x} ${y - 1.3 * r}L${x + 1.3 * r} ${y}L${x} ${y + 1.3 * r}L${x - 1.3 * r} ${y}z`,
  ];
  const shape = (k, x, y, r) => SHAPES[k % SHAPES.length](x, y, r);
  const ink = (k) => `var(--c${k % 8})`;

  function colour(name) {
    const text = getComputedStyle(document.documentElement).getPropertyValue(name).trim();
    return [1, 3, 5].map((i) => parseInt(text.slice(i, i + 2), 16));
  }

  function legend(names) {
    const items = names.map((name, k) => make("li", {}, make("svg", { class: "mark", viewBox: "-6 -6 12 12", "aria-hidden": "true" },
      make("path", { d: shape(k, 0, 0, 4.5), style: `fill: ${ink(k)}` })), name));
    return make("ul", { class: "legend" }, ...items);
  }

  const VIEWS = {
    plane() {
      const n = fixed.grid, [[x0, x1], [y0, y1]] = fixed.ranges;
      const small = make("canvas", { width: n, height: n }), canvas = make("canvas", { width: 576, height: 576 });
      canvas.setAttribute("role", "img");
      const points = make("svg", { viewBox: "0 0 100 100", "aria-hidden": "true" });
      fixed.points.forEach(([x, y], i) => {
        const k = fixed.labels[i];
        points.append(make("path", { class: "point", style: `fill: ${ink(k)}`,
          d: shape(k, 100 * (x - x0) / (x1 - x0), 100 - 100 * (y - y0) / (y1 - y0), 0.9) }));
      });
      view.append(make("div", { class: "stage" }, canvas, points), legend(fixed.names),
        make("p", { class: "small" }, `${fixed.axes[0]} from ${x0.toPrecision(3)} to ${x1.toPrecision(3)} across, ` +
          `${fixed.axes[1]} from ${y0.toPrecision(3)} to ${y1.toPrecision(3)} upwards. A region is the stronger coloured the surer the network is.`));
      return (frame) => {
        const cells = atob(frame.view), paper = colour("--paper"), colours = [...Array(8).keys()].map((k) => colour(`--c${k}`));
        const image = new ImageData(n, n);
        for (let i = 0; i < n * n; i++) {
          const cell = cells.charCodeAt(i), share = 0.12 + 0.45 * (cell & 15) / fixed.levels, tint = colours[(cell >> 4) % 8];
          const at = 4 * ((n - 1 - Math.floor(i / n)) * n + i % n);
          for (let c = 0; c < 3; c++) image.data[at + c] = share * tint[c] + (1 - share) * paper[c];
          image.data[at + 3] = 255;
        }
        small.getContext("2d").putImageData(image, 0, 0);
        canvas.getContext("2d").drawImage(small, 0, 0, canvas.width, canvas.height);
        canvas.setAttribute("aria-label", `Regions of the classes, ${tell(frame)}`);
      };
    },

    confusion() {
      const head = make("tr", {}, make("th", { scope: "col" }, "class"), ...fixed.names.map((n) => make("th", { scope: "col" }, n)));
      const body = make("tbody");
      const caption = make("caption", { class: "small" }, "Rows by class (down) and predicted class (across)");
      const table = make("table", {}, caption, make("thead", {}, head), body);
      const cells = fixed.names.map((name) => {
        const row = fixed.names.map(() => make("td"));
        body.append(make("tr", {}, make("th", { scope: "row" }, name), ...row));
        return row;
      });
      view.append(make("div", { class: "scroll", role: "region", tabindex: "0", "aria-label": "Confusion matrix" }, table));
      return (frame) => {
        const tint = colour("--c0"), paper = colour("--paper");
        frame.view.forEach((row, i) => {
          const total = row.reduce((a, b) => a + b, 0) || 1;
          row.forEach((count, j) => {
            // At most half of the colour: the numbers keep their contrast on it, light and dark.
            const share = 0.5 * count / total, mixed = tint.map((t, c) => Math.round(share * t + (1 - share) * paper[c]));
            cells[i][j].textContent = count;
            cells[i][j].style.background = `rgb(${mixed})`;
          });
        });
      };
    },

    numbers() {
      const all = frames.flatMap((f) => f.view).concat(fixed.true), low = Math.min(...fixed.true), high = Math.max(...fixed.true);
      const pad = 0.1 * (high - low) || 1, at = (v) => 100 * (v - low + pad) / (high - low + 2 * pad);
      const svg = make("svg", { viewBox: "0 0 100 100", role: "img" });
      svg.append(make("line", { x1: 0, y1: 100, x2: 100, y2: 0, class: "axis", "stroke-width": 0.4 }));
      const dots = fixed.true.map(() => make("path", { class: "point", style: `fill: ${ink(0)}` }));
      svg.append(...dots);
      view.append(make("div", { class: "stage" }, svg), make("p", { class: "small" },
        `True value across, prediction upwards, both from ${(low - pad).toPrecision(3)} to ${(high + pad).toPrecision(3)}; ` +
        `predictions reach from ${Math.min(...all).toPrecision(3)} to ${Math.max(...all).toPrecision(3)}. On the line a prediction is right.`));
      return (frame) => {
        frame.view.forEach((p, i) => dots[i].setAttribute("d", shape(0, at(fixed.true[i]), 100 - at(p), 0.9)));
        svg.setAttribute("aria-label", `Predictions over true values, ${tell(frame)}`);
      };
    },
  };

  const tell = (frame) => `epoch ${frame.epoch}: ${frame.text}`;

  function histogram([low, high, counts]) {
    const most = Math.max(...counts), name = `from ${low.toPrecision(3)} to ${high.toPrecision(3)}`;
    const svg = make("svg", { class: "bins", viewBox: `0 0 ${counts.length} 20`, preserveAspectRatio: "none", role: "img",
      "aria-label": `Histogram ${name}` });
    counts.forEach((count, i) => svg.append(make("rect", { x: i + 0.05, y: 20 - 20 * count / most, width: 0.9, height: 20 * count / most })));
    return svg;
  }

  function layers(frame) {
    document.querySelectorAll("#layers tbody tr").forEach((row, i) => {
      const { cells, bins } = frame.layers[i];
      [...row.querySelectorAll("td")].forEach((cell, j) => {
        const own = { 1: bins[0], 3: bins[1] }[j];
        if (own) cell.replaceChildren(histogram(own));
        else cell.textContent = cells[j] || "–";
      });
    });
  }

  function marks(frame) {
    document.querySelectorAll(".now").forEach((line) => {
      const { x0, x1, left, right } = line.dataset;
      const x = +left + (frame.epoch - x0) / (x1 - x0) * (right - left);
      line.setAttribute("x1", x);
      line.setAttribute("x2", x);
      line.style.visibility = frame.epoch >= +x0 && frame.epoch <= +x1 ? "visible" : "hidden";
    });
  }

  const draw = VIEWS[data.kind]();
  function show() {
    const frame = frames[slider.value];
    draw(frame);
    layers(frame);
    marks(frame);
    told.textContent = tell(frame);
    slider.setAttribute("aria-valuetext", tell(frame));
  }

  let timer = null;
  function stop() {
    clearInterval(timer);
    timer = null;
    play.textContent = "Play";
  }
  play.addEventListener("click", () => {
    if (timer) return stop();
    if (+slider.value === frames.length - 1) slider.value = 0;
    play.textContent = "Pause";
    timer = setInterval(() => {
      slider.value = +slider.value + 1;
      show();
      if (+slider.value >= frames.length - 1) stop();
    }, 250);
    return show();
  });
  slider.addEventListener("input", () => { stop(); show(); });
  // Colours in pictures follow the page's: light, dark, and on paper.
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", show);
  matchMedia("print").addEventListener("change", show);
  show();
})();
