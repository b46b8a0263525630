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

  function show() {
    const trials = [chosen, beside].map((select) => select.value).filter(Boolean).map(stored);
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
      const last = data.length ? data[0].y.filter((value) => value !== null).at(-1) : undefined;
      elements[metric].setAttribute("aria-label",
        `${panel.title} of ${chosen.value}: ${last === undefined ? "not measured" : `${last} at the end`}`);
      elements[metric].parentElement.hidden = data.length === 0;
      if (data.length) charts.draw(elements[metric], data, layout);
    });
    if (values.open) tabulate();
  }

  /* A metric a row, so that all of them fit beside their names. */
  function tabulate() {
    const trial = stored(chosen.value), table = document.createElement("table");
    const found = panels.map((_, metric) => curveOf(trial, metric));
    const steps = [...new Set(trial.steps.flat())].sort((a, b) => a - b);
    const last = steps.length - 1, parts = Math.min(MOST_STEPS - 1, last);
    const columns = Array.from({ length: parts + 1 }, (_, part) => steps[Math.round((part * last) / (parts || 1))]);
    table.createCaption().textContent = `${trial.label}: the latest values up to each step`;
    fill(table.createTHead().insertRow(), "col", ["metric", ...columns]);
    const body = table.createTBody();
    panels.forEach((panel, metric) => {
      const curve = found[metric];
      if (curve) fill(body.insertRow(), "row", [panel.title, ...columns.map((step) => valueAt(curve, step))]);
    });
    values.querySelector(".scroll").replaceChildren(table);
  }

  function valueAt(curve, step) {
    const value = curve.values[curve.steps.findLastIndex((each) => each <= step)];
    return value === undefined || value === null ? "–" : String(Number(value.toPrecision(3)));
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
