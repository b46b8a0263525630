/* Draws the curves of the trials that are chosen. In: a JSON element per trial, read when chosen.
   Out: a panel per metric, and a table of the same values. */
"use strict";

(() => {
  const MOST_STEPS = 8; // that stand beside each other on a screen
  const viewer = document.getElementById("trial-viewer");
  if (!viewer) return;
  const chosen = document.getElementById("chosen"), beside = document.getElementById("beside");
  const told = document.getElementById("told"), values = document.getElementById("values");
  const panels = JSON.parse(document.getElementById("panels").textContent);
  const elements = panels.map(makePanel);

  function makePanel(panel) {
    const holder = document.createElement("div"), title = document.createElement("h3");
    const chart = document.createElement("div");
    title.textContent = panel.title;
    chart.className = "chart";
    chart.dataset.share = "0.48"; // of a printed line
    chart.style.minHeight = `${panel.layout.height}px`;
    chart.setAttribute("role", "img");
    holder.append(title, chart);
    viewer.querySelector(".panels").append(holder);
    return chart;
  }

  const stored = (name) => JSON.parse(
    viewer.querySelector(`script[data-trial="${CSS.escape(name)}"]`).textContent);

  const shown = () => [chosen, beside].map((select) => select.value).filter(Boolean).map(stored);

  function curveOf(trial, metric) {
    const found = trial.curves.find(([index]) => index === metric);
    return found && { steps: trial.steps[found[1]], values: found[2] };
  }

  function trace(trial, curve, look) {
    return {
      type: "scatter", mode: "lines+markers", x: curve.steps, y: curve.values,
      line: { ...look.line, width: 2 },
      marker: { ...look.marker, size: 7, maxdisplayed: 9, color: look.line.color },
      hovertemplate: "step %{x}: %{y:.3g}<extra></extra>",
    };
  }

  const onset = (trial, look) => ({
    type: "line", xref: "x", yref: "paper", x0: trial.onset, x1: trial.onset, y0: 0, y1: 1,
    line: { ...look.line, width: 1.5, dash: "dot" },
  });

  /* How a trial is drawn and ended, with the sample in its line's colour. */
  function naming(trial, index) {
    const sample = document.createElement("span");
    sample.textContent = ["━●", "╍■"][index];
    sample.style.color = panels[0].looks[index].line.color;
    const since = trial.onset === null ? "" : `, since step ${trial.onset}`;
    return [sample, ` ${trial.label}${since}   `];
  }

  function ending(trial, metric) {
    const last = curveOf(trial, metric)?.values.filter((value) => value !== null).at(-1);
    return `${trial.label}, ${last === undefined ? "not measured" : `${last} at the end`}`;
  }

  function show() {
    const trials = shown();
    told.replaceChildren(...trials.flatMap(naming));
    panels.forEach((panel, metric) => {
      const layout = structuredClone(panel.layout), data = [];
      trials.forEach((trial, index) => {
        const curve = curveOf(trial, metric);
        if (!curve) return;
        data.push(trace(trial, curve, panel.looks[index]));
        if (trial.onset !== null) layout.shapes = [...(layout.shapes || []), onset(trial, panel.looks[index])];
      });
      layout.showlegend = false;
      const ends = trials.map((trial) => ending(trial, metric)).join("; ");
      elements[metric].setAttribute("aria-label", `${panel.title}: ${ends}`);
      elements[metric].parentElement.hidden = data.length === 0;
      if (data.length) charts.draw(elements[metric], data, layout);
    });
    if (values.open) tabulate();
  }

  /* A metric a row, and below it the other trial's, so that all of them fit beside their names. */
  function tabulate() {
    const trials = shown(), table = document.createElement("table"), columns = columnsOf(trials);
    const names = trials.map((trial) => trial.label).join(" and ");
    table.createCaption().textContent = `${names}: the latest values up to each step`;
    fill(table.createTHead().insertRow(), "col", ["metric", ...columns]);
    const body = table.createTBody();
    panels.forEach((panel, metric) => trials.forEach((trial) => {
      const curve = curveOf(trial, metric);
      if (!curve) return;
      const row = body.insertRow();
      fill(row, "row", [panel.title, ...columns.map((step) => valueAt(trial, curve, step))]);
      if (trials.length > 1) row.cells[0].append(small(trial.label));
    }));
    values.querySelector(".scroll").replaceChildren(table);
  }

  function columnsOf(trials) {
    const steps = [...new Set(trials.flatMap((trial) => trial.steps.flat()))].sort((a, b) => a - b);
    const last = steps.length - 1, parts = Math.min(MOST_STEPS - 1, last);
    return Array.from({ length: parts + 1 }, (_, part) => steps[Math.round((part * last) / (parts || 1))]);
  }

  /* After its last step a trial has no values. */
  function valueAt(trial, curve, step) {
    const reached = trial.steps.some((steps) => steps.at(-1) >= step);
    const value = reached ? curve.values[curve.steps.findLastIndex((each) => each <= step)] : null;
    return value === undefined || value === null ? "–" : String(Number(value.toPrecision(3)));
  }

  function small(text) {
    const element = document.createElement("small");
    element.textContent = text;
    return element;
  }

  function fill(row, scope, texts) {
    texts.forEach((text, index) => {
      const heads = scope === "col" || index === 0;
      const cell = document.createElement(heads ? "th" : "td");
      if (heads) cell.scope = scope;
      if (index > 0) cell.className = "number";
      cell.textContent = text;
      row.append(cell);
    });
  }

  function move(by) {
    chosen.selectedIndex = (chosen.selectedIndex + by + chosen.length) % chosen.length;
    show();
  }

  beside.append(...[...chosen.children].map((group) => group.cloneNode(true)));
  chosen.value = chosen.dataset.first;
  chosen.addEventListener("change", show);
  beside.addEventListener("change", show);
  document.getElementById("previous").addEventListener("click", () => move(-1));
  document.getElementById("next").addEventListener("click", () => move(1));
  values.addEventListener("toggle", () => values.open && tabulate());
  addEventListener("beforeprint", show);
  const seen = new IntersectionObserver((entries) => {
    if (!entries.some((entry) => entry.isIntersecting)) return;
    seen.disconnect();
    show();
  }, { rootMargin: "400px" });
  seen.observe(viewer);
})();
