// The picture of svg.py, drawn again when a slider moves: the same scene gives the same text, which the tests compare.
"use strict";

const data = JSON.parse(document.getElementById("data").textContent);
const { margin, line, letter, slot, title, label, gaps, apart } = data.sizes;

// ---- what is drawn: grid.py ----

function shown(size, most) {
  if (size <= most) return [...Array(size).keys()];
  return [...Array(most - 1).keys(), null, size - 1];
}

function gridOf(shape, axes) {
  const places = data.places[shape.length];
  const perAxis = shape.map((size, axis) => shown(size, places[axis][1]));
  const drawn = perAxis.map((indices) => indices.filter((index) => index !== null));
  const kept = drawn.map((indices, axis) => (axes.includes(axis) ? 1 : indices.length));
  return {
    shown: perAxis,
    isWhole: !perAxis.some((indices) => indices.includes(null)),
    indices(count = shape.length) {
      return drawn.slice(0, count).reduce((found, next) => found.flatMap((at) => next.map((each) => [...at, each])), [[]]);
    },
    group(index) {
      return index.reduce(
        (number, each, axis) => (axes.includes(axis) ? number : number * kept[axis] + drawn[axis].indexOf(each)), 0);
    },
  };
}

function mark(group) {
  let letters = "";
  for (let rest = group + 1; rest; rest = Math.floor((rest - 1) / 26)) {
    letters = String.fromCharCode(65 + ((rest - 1) % 26)) + letters;
  }
  return letters;
}

// ---- values ----

function exampleScores(shape) {
  return Array.from({ length: shape.reduce((count, size) => count * size, 1) }, (_, at) => Math.sin(at));
}

/** What the function makes of scores in the order of indices. */
function resultOf(scene) {
  const { function: name, shape, axes, temperature } = scene;
  const sign = name === "softmin" ? -1 : 1;
  const scores = scene.before.map((score) => (sign * score) / temperature);
  const groups = new Map();
  scores.forEach((_, at) => {
    let rest = at;
    let key = "";
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      if (!axes.includes(axis)) key = `${rest % shape[axis]} ${key}`;
      rest = Math.floor(rest / shape[axis]);
    }
    if (!groups.has(key)) groups.set(key, []);
    groups.get(key).push(at);
  });
  const result = Array(scores.length).fill(0);
  for (const members of groups.values()) {
    if (name === "argmax") {
      let best = members[0];
      // as in torch, NaN is the largest
      for (const at of members) {
        if (scores[at] > scores[best] || (Number.isNaN(scores[at]) && !Number.isNaN(scores[best]))) best = at;
      }
      result[best] = 1;
      continue;
    }
    const top = Math.max(...members.map((at) => scores[at]));
    const sum = members.reduce((total, at) => total + Math.exp(scores[at] - top), 0);
    for (const at of members) {
      result[at] = name === "log_softmax" ? scores[at] - top - Math.log(sum) : Math.exp(scores[at] - top) / sum;
    }
  }
  return result;
}

function number(value, digits) {
  if (Number.isNaN(value)) return "nan";
  if (!Number.isFinite(value)) return value > 0 ? "inf" : "-inf";
  if (Math.abs(value) >= 1000) {
    const [leading, power] = value.toExponential(0).split("e");
    return `${leading}e${Number(power)}`;
  }
  const text = value.toFixed(digits);
  return /^-[0.]*$/.test(text) ? text.slice(1) : text;
}

// ---- the drawing: svg.py ----

function escaped(text) {
  const codes = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#x27;" };
  return text.replace(/[&<>"']/g, (sign) => codes[sign]);
}

function textAt(x, y, text, style, anchor = "") {
  const words = escaped(text).replaceAll("  ", "\u00a0\u00a0").replaceAll("\u00a0 ", "\u00a0\u00a0");
  const anchored = anchor ? ` text-anchor="${anchor}"` : "";
  return `<text x="${x}" y="${y}" class="${style}"${anchored}>${words}</text>`;
}

function lengthOf(text) {
  return [...text].length;
}

/** Six digits, as Python's `:g` writes them. */
function general(value) {
  const [digits, power] = value.toExponential(5).split("e");
  if (power >= -4 && power < 6) return String(Number(value.toPrecision(6)));
  return `${Number(digits)}e${power[0]}${power.slice(1).padStart(2, "0")}`;
}

function callOf(scene) {
  let dim = "";
  if (!scene.is_implicit) dim = scene.axes.length === 1 ? `, dim=${scene.axes[0]}` : `, dim=(${scene.axes.join(", ")})`;
  if (scene.temperature === 1) return `${scene.written}(${scene.arguments}${dim})`;
  const temperature = general(scene.temperature);
  if (scene.is_torch) return `${scene.written}(${scene.arguments} / ${temperature}${dim})`;
  return `${scene.written}(${scene.arguments}${dim}, temperature=${temperature})`;
}

function countsOf(scene) {
  const product = (sizes) => sizes.reduce((count, size) => count * BigInt(size), 1n);
  const entries = product(scene.axes.map((axis) => scene.shape[axis]));
  const distributions = product(scene.shape) / entries;
  const noun = distributions === 1n ? scene.noun : `${scene.noun}s`;
  return `${distributions} ${noun} over ${entries} ${entries === 1n ? "entry" : "entries"}`;
}

function axisLines(scene) {
  const names = scene.names ? scene.names.map((name) => [...name].slice(0, 24).join("")) : scene.shape.map(() => "");
  const wide = Math.max(...names.map(lengthOf));
  const digits = Math.max(...scene.shape.map((size) => String(size).length));
  return scene.shape.map((size, axis) => {
    const competes = scene.axes.includes(axis);
    const name = wide ? `${names[axis]}${" ".repeat(wide - lengthOf(names[axis]))}  ` : "";
    const place = data.places[scene.shape.length][axis][0];
    const text = `axis ${axis}  ${name}size ${String(size).padStart(digits)}  ${place}${competes ? ": competes" : ""}`;
    return [text, competes ? "ink bold" : "faint"];
  });
}

function panelOf(scene, grid, values, isAfter) {
  const rank = scene.shape.length;
  const digits = isAfter && scene.function !== "log_softmax" ? 3 : 2;
  const cell = values === null ? data.sizes.without_values : data.sizes.with_values;
  const hasSums = isAfter && rank <= 2 && !data.withoutSums.includes(scene.function);
  const extent = { x: cell[0], y: cell[1] };
  const level = { x: 0, y: 0 };
  const offsets = [], direction = [], across = [];
  for (let axis = rank - 1; axis >= 0; axis--) {
    const place = data.places[rank][axis][0];
    const way = place === "rows" || place.endsWith("down") ? "y" : "x";
    const gap = gaps[level[way]];
    let at = 0;
    offsets[axis] = grid.shown[axis].map((index) => {
      const here = at;
      at += (index === null ? slot : extent[way]) + gap;
      return here;
    });
    direction[axis] = way;
    across[axis] = extent[way === "y" ? "x" : "y"];
    extent[way] = at - gap;
    level[way] += 1;
    if (axis === rank - 2 && rank > 2) extent.y += title;
  }
  const leftRoom = rank === 2 ? label : 0;
  const topRoom = rank <= 2 ? title : 0;

  function origin(index) {
    const at = { x: 0, y: 0 };
    index.forEach((each, axis) => { at[direction[axis]] += offsets[axis][grid.shown[axis].indexOf(each)]; });
    return [at.x, at.y];
  }

  const titleRoom = (axes) => (rank > 2 && axes > rank - 2 ? title : 0);

  function indexLabels(left, top) {
    const labels = [];
    grid.shown[rank - 1].forEach((index, at) => {
      if (index === null) return;
      const x = left + offsets[rank - 1][at] + Math.floor(cell[0] / 2);
      labels.push(textAt(x, top - 6, String(index), "faint", "middle"));
    });
    (rank === 2 ? grid.shown[0] : []).forEach((index, at) => {
      if (index === null) return;
      const y = top + offsets[0][at] + Math.floor(cell[1] / 2) + 4;
      labels.push(textAt(left - 8, y, String(index), "faint", "end"));
    });
    return labels;
  }

  function blockTitles(left, top) {
    return grid.indices(rank - 2).map((index) => {
      const [x, y] = origin(index);
      return textAt(left + x, top + y + 13, `[${index.join(", ")}]`, "faint");
    });
  }

  function dots(axis, left, top) {
    const middle = offsets[axis][grid.shown[axis].indexOf(null)] + Math.floor(slot / 2);
    return grid.indices(axis).map((index) => {
      const [x, y] = origin(index);
      const [fromLeft, fromTop] = [left + x, top + y + titleRoom(axis + 1)];
      const half = Math.floor(across[axis] / 2);
      if (direction[axis] === "x") {
        return `<path class="dots" d="M${fromLeft + middle - 5} ${fromTop + half}h.1m5 0h.1m5 0h.1"/>`;
      }
      return `<path class="dots" d="M${fromLeft + half} ${fromTop + middle - 5}v.1m0 5v.1m0 5v.1"/>`;
    });
  }

  function cellAt(x, y, index, value) {
    const [width, height] = cell;
    const group = grid.group(index);
    const name = mark(group);
    const hatching = Math.floor(group / data.colours) % data.hatchings;
    const box = `x="${x}" y="${y}" width="${width}" height="${height}"`;
    const entry = `${scene.tensor}[${index.join(", ")}]`;
    const told = value === null ? "" : ` ${isAfter ? "becomes" : "is"} ${number(value, digits)},`;
    let parts = `<g data-index="${index.join(" ")}" data-group="${group}">`;
    parts += `<title>${escaped(entry)}${told} shares ${name}</title>`;
    parts += `<rect class="cell c${group % data.colours}" ${box}/>`;
    if (hatching) parts += `<rect ${box} fill="url(#ax${hatching})"/>`;
    if (value === null) {
      parts += textAt(x + Math.floor(width / 2), y + Math.floor(height / 2) + 4, name, "mark", "middle");
    } else {
      parts += textAt(x + 4, y + 12, name, "mark");
      parts += textAt(x + width - 4, y + height - 9, number(value, digits), "on", "end");
      if (isAfter && scene.function !== "log_softmax" && value > 0) {
        const bar = Math.floor(Math.min(value, 1) * width + 0.5);
        parts += `<rect class="bar" x="${x}" y="${y + height - 5}" width="${bar}" height="5"/>`;
      }
    }
    return `${parts}</g>`;
  }

  function sums(left, top) {
    const columns = scene.shape[rank - 1];
    const rows = values.length / columns;
    const right = left + extent.x + gaps[1];
    const bottom = top + extent.y;
    const style = (axis) => (scene.axes.includes(axis) ? "ink bold" : "ink");
    const add = (entries) => entries.reduce((total, each) => total + each, 0);
    const found = [textAt(right + cell[0] - 4, top - 6, "sum", "faint", "end")];
    for (let row = 0; row < rows; row++) {
      const y = top + (rank === 2 ? offsets[0][row] : 0) + Math.floor(cell[1] / 2) + 4;
      const total = number(add(values.slice(row * columns, (row + 1) * columns)), 3);
      found.push(textAt(right + cell[0] - 4, y, total, style(rank - 1), "end"));
    }
    if (rank === 2) {
      found.push(textAt(left - 8, bottom + 14, "sum", "faint", "end"));
      for (let column = 0; column < columns; column++) {
        const total = number(add(values.filter((_, at) => at % columns === column)), 3);
        found.push(textAt(left + offsets[1][column] + cell[0] - 4, bottom + 14, total, style(0), "end"));
      }
    }
    return found;
  }

  return {
    width: leftRoom + extent.x + (hasSums ? cell[0] + gaps[1] : 0),
    height: topRoom + extent.y + (hasSums && rank === 2 ? title : 0),
    draw(fromLeft, fromTop) {
      const [left, top] = [fromLeft + leftRoom, fromTop + topRoom];
      const parts = rank <= 2 ? indexLabels(left, top) : blockTitles(left, top);
      for (let axis = 0; axis < rank; axis++) {
        if (grid.shown[axis].includes(null)) parts.push(...dots(axis, left, top));
      }
      grid.indices().forEach((index, at) => {
        const [x, y] = origin(index);
        parts.push(cellAt(left + x, top + y + titleRoom(rank), index, values === null ? null : values[at]));
      });
      return hasSums ? [...parts, ...sums(left, top)] : parts;
    },
  };
}

/** The text of the picture. */
function draw(scene, widest) {
  const grid = gridOf(scene.shape, scene.axes);
  const call = callOf(scene);
  const counts = countsOf(scene);
  const pattern = scene.shape.map((_, axis) => (scene.axes.includes(axis) ? ":" : "ijklmn"[axis])).join(", ");
  const lines = [[call, "ink bold"], [counts, "ink"], [`entries that share one: [${pattern}]`, "ink"], ...axisLines(scene)];
  const [heading, captions] = data.results[scene.function];
  const headings = [`before: ${scene.tensor}${scene.is_example ? " (an example)" : ""}`, heading.replace("{call}", call)];
  const panels = [panelOf(scene, grid, scene.before, false)];
  if (scene.after !== null) panels.push(panelOf(scene, grid, scene.after, true));

  const parts = lines.map(([text, style], row) => textAt(margin, margin + 12 + row * line, text, style));
  let top = margin + lines.length * line + 8;
  const widths = panels.map((panel, at) => Math.max(panel.width, Math.ceil(lengthOf(headings[at]) * letter)));
  const beside = panels.length === 2 && widths[0] + widths[1] + apart + 2 * margin <= widest;
  let left = margin;
  const longest = Math.max(...[...captions, ...lines.map(([text]) => text)].map(lengthOf));
  let width = Math.max(Math.ceil(longest * letter), ...widths);
  panels.forEach((panel, at) => {
    if (scene.after !== null) parts.push(textAt(left, top + 12, headings[at], "ink"));
    parts.push(...panel.draw(left, top + line));
    if (beside) {
      width = Math.max(width, left + widths[at] - margin);
      left += widths[at] + apart;
    } else {
      top += line + panel.height + margin;
    }
  });
  if (beside) top += line + Math.max(...panels.map((panel) => panel.height)) + margin;
  captions.forEach((text, row) => parts.push(textAt(margin, top + 12 + row * line, text, "faint")));
  width += 2 * margin;
  const height = top + captions.length * line + margin;
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" class="ax" role="img" width="${width}" height="${height}" ` +
    `viewBox="0 0 ${width} ${height}"><title>${escaped(call)}: ${escaped(counts)}</title>` +
    `<style>${data.style}</style><defs>${data.patterns}</defs>` +
    `<rect class="paper" width="${width}" height="${height}"/>\n${parts.join("\n")}\n</svg>\n`
  );
}

// ---- the sliders ----

const given = data.scene;
if (given.before !== null) given.before = given.before.map(Number);
let state = { ...given };
// torch's functions take one axis; its cross_entropy takes no dim at all
const takesOneAxis = given.is_torch || given.function === "cross_entropy";
const takesNoDim = given.is_torch && given.function === "cross_entropy";

/** The scene with its values: the user's for the shape that was given, else an example's. */
function filled(scene) {
  const isGiven = !given.is_example && String(scene.shape) === String(given.shape);
  const isWhole = gridOf(scene.shape, scene.axes).isWhole;
  const before = isGiven ? given.before : isWhole ? exampleScores(scene.shape) : null;
  const full = { ...scene, is_example: !isGiven, before };
  return { ...full, after: before === null ? null : resultOf(full) };
}

function redraw() {
  const figure = document.getElementById("picture");
  figure.innerHTML = draw(filled(state), Math.min(data.sizes.widest, figure.clientWidth));
  // a little too wide is made smaller, much too wide is scrolled
  const picture = figure.firstElementChild;
  if (picture.width.baseVal.value < 1.4 * figure.clientWidth) picture.setAttribute("style", "max-width:100%;height:auto");
  document.getElementById("said").textContent = `${callOf(state)}: ${countsOf(state)}`;
}

function change(changes) {
  state = { ...state, ...changes };
  showControls();
  redraw();
}

function setRank(rank) {
  const shape = Array.from({ length: rank }, (_, axis) => state.shape[axis] ?? 2);
  const axes = takesNoDim ? [Math.min(1, rank - 1)] : state.axes.filter((axis) => axis < rank);
  change({ shape, axes: axes.length ? axes : [rank - 1], names: rank === given.shape.length ? given.names : null,
    is_implicit: takesNoDim });
}

function setSize(axis, size) {
  if (!Number.isSafeInteger(size) || size < 1) return showControls();
  change({ shape: state.shape.map((old, at) => (at === axis ? size : old)) });
}

function setCompeting(axis, competes) {
  const stay = takesOneAxis && competes ? [] : state.axes;
  const axes = state.shape.map((_, at) => at).filter((at) => (at === axis ? competes : stay.includes(at)));
  // one axis at least
  if (axes.length) change({ axes, is_implicit: false });
  else showControls();
}

function setTemperature(power) {
  change({ temperature: Number((10 ** power).toPrecision(2)) });
}

function row(name, parts) {
  return `<div><label for="${name}">${parts[0]}</label>${parts.slice(1).join("")}</div>`;
}

/** Make the controls for so many axes, or put them to the state. */
function showControls() {
  const form = document.getElementById("controls");
  const rank = state.shape.length;
  if (form.dataset.rank !== String(rank)) {
    form.dataset.rank = rank;
    form.innerHTML = controls(rank);
    form.hidden = false;
  }
  const set = (id, value) => { document.getElementById(id).value = value; };
  set("rank", rank);
  set("rank-said", rank);
  if (!takesNoDim) {
    set("dim", state.axes[0]);
    set("dim-said", state.axes.length === 1 ? state.axes[0] : `(${state.axes.join(", ")})`);
  }
  state.shape.forEach((size, axis) => {
    set(`size${axis}`, size);
    set(`exact${axis}`, size);
    document.getElementById(`competes${axis}`).checked = state.axes.includes(axis);
  });
  if (document.getElementById("temperature")) {
    set("temperature", Math.log10(state.temperature));
    set("temperature-said", state.temperature);
  }
}

function controls(rank) {
  const range = (id, low, high, step = 1) => `<input type="range" id="${id}" min="${low}" max="${high}" step="${step}">`;
  const rows = [row("rank", ["axes", range("rank", 1, Object.keys(data.places).length), '<output id="rank-said"></output>'])];
  state.shape.forEach((_, axis) => {
    const name = state.names ? ` ${escaped(state.names[axis])}` : "";
    rows.push(row(`size${axis}`, [
      `size ${axis}${name}`,
      range(`size${axis}`, 1, 12),
      `<input type="number" id="exact${axis}" min="1" aria-label="size of axis ${axis}">`,
      `<label><input type="checkbox" id="competes${axis}"${takesNoDim ? " disabled" : ""}> competes</label>`,
    ]));
  });
  if (!takesNoDim) rows.push(row("dim", ["dim", range("dim", 0, rank - 1), '<output id="dim-said"></output>']));
  if (data.withTemperature.includes(state.function)) {
    const output = '<output id="temperature-said"></output>';
    rows.push(row("temperature", ["temperature", range("temperature", -1, 1, 0.05), output]));
  }
  return rows.join("\n");
}

document.getElementById("controls").addEventListener("input", ({ target }) => {
  const [, name, axis] = target.id.match(/^([a-z]+)(\d*)$/);
  const value = Number(target.value);
  if (name === "rank") setRank(value);
  else if (name === "size") setSize(Number(axis), value);
  else if (name === "dim") change({ axes: [value], is_implicit: false });
  else if (name === "competes") setCompeting(Number(axis), target.checked);
  else if (name === "temperature") setTemperature(value);
});
// what is typed counts when it is finished
document.getElementById("controls").addEventListener("change", ({ target }) => {
  const typed = target.id.match(/^exact(\d+)$/);
  if (typed) setSize(Number(typed[1]), Number(target.value));
});
document.getElementById("controls").addEventListener("submit", (event) => event.preventDefault());
window.addEventListener("resize", redraw);
showControls();
redraw();
