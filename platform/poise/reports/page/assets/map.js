/* The embedding map: points of every image, a thumbnail under the pointer, and the nearest images
   of the chosen one. In: the JSON of the page. Out: a plot and a list. */
"use strict";

(() => {
  const HEIGHT_PX = 560;
  const TIP_SCALE = 2;
  const CHOSEN_SCALE = 3;
  const MOST_IN_LEGEND = 42; // looks that differ
  const byId = (id) => document.getElementById(id);
  const data = JSON.parse(byId("map-data").textContent);
  const classOf = new Map(data.classes.map((each) => [each.label, each]));
  const rowOf = new Map(data.ids.map((id, row) => [id, row]));
  const plot = byId("plot"), tip = byId("tip");
  let projection = data.projections.length > 1 ? 1 : 0; // neighbours are what most people look for
  let chosen = 0;

  const nameOf = (row) => classOf.get(data.labels[row]).name;

  /* The thumbnail of an image, cut out of its sheet by the style alone. */
  function tile(row, scale) {
    const perSheet = data.across ** 2;
    const place = row % perSheet, sheet = Math.floor(row / perSheet);
    const rows = Math.ceil(Math.min(perSheet, data.ids.length - sheet * perSheet) / data.across);
    const side = data.tile * scale;
    const element = document.createElement("span");
    element.className = `tile sheet-${sheet}`;
    Object.assign(element.style, {
      width: `${side}px`, height: `${side}px`,
      backgroundSize: `${data.across * side}px ${rows * side}px`,
      backgroundPosition: `-${(place % data.across) * side}px -${Math.floor(place / data.across) * side}px`,
    });
    return element;
  }

  function pointsOf(look) {
    const { x, y } = data.projections[projection];
    const rows = data.ids.map((_, row) => row).filter((row) => data.labels[row] === look.label);
    return {
      type: "scatter", mode: "markers", name: look.literal, hoverinfo: "none",
      x: rows.map((row) => x[row]), y: rows.map((row) => y[row]), customdata: rows,
      marker: { color: look.color, symbol: look.symbol, size: 6, opacity: 0.75 },
    };
  }

  /* Lines from the chosen image to its nearest images, and a ring around it. */
  function marksOf(row) {
    const { x, y } = data.projections[projection];
    const xs = [], ys = [];
    data.nearest[row].forEach((other) => {
      xs.push(x[row], x[other], null);
      ys.push(y[row], y[other], null);
    });
    const shared = { type: "scatter", hoverinfo: "skip", showlegend: false };
    return [
      { ...shared, mode: "lines", x: xs, y: ys, line: { color: "#888888", width: 1 } },
      { ...shared, mode: "markers", x: [x[row]], y: [y[row]],
        marker: { size: 15, symbol: "circle-open", color: "#888888", line: { width: 3 } } },
    ];
  }

  function layout() {
    const axis = { showticklabels: false, showgrid: false, visible: false, showline: false, zeroline: false, ticks: "" };
    const scatter = data.projections[projection];
    return {
      height: HEIGHT_PX, margin: { l: 10, r: 10, t: 10, b: 10 }, font: { size: 13 },
      hovermode: "closest", dragmode: "pan", uirevision: scatter.name,
      showlegend: data.classes.length > 1 && data.classes.length <= MOST_IN_LEGEND,
      legend: { orientation: "h", x: 0, y: 0, yanchor: "bottom", yref: "container" },
      xaxis: { ...axis }, yaxis: { ...axis, scaleanchor: "x" },
    };
  }

  function redraw() {
    charts.draw(plot, [...marksOf(chosen), ...data.classes.map(pointsOf)], layout());
    const { caption, trust } = data.projections[projection];
    byId("caption").textContent = `${caption} Trustworthiness ${trust} of 1.`;
  }

  function button(row, own, cosine) {
    const element = document.createElement("button");
    const isSame = data.labels[row] === data.labels[own] && data.labels[own] >= 0;
    element.type = "button";
    if (data.labels[own] >= 0) element.className = isSame ? "same" : "other";
    const words = document.createElement("span");
    const sign = data.labels[own] < 0 ? "" : isSame ? "✓ " : "✗ ";
    words.textContent = `${sign}${nameOf(row)} ${cosine.toFixed(2)}`;
    element.append(tile(row, 1), words);
    element.addEventListener("click", () => choose(row));
    const item = document.createElement("li");
    item.append(element);
    return item;
  }

  function choose(row) {
    chosen = row;
    byId("sample").value = data.ids[row];
    byId("unknown").textContent = "";
    const title = document.createElement("h3");
    title.textContent = `image ${data.ids[row]}: ${nameOf(row)}`;
    const list = document.createElement("ol");
    data.nearest[row].forEach((other, place) => {
      list.append(button(other, row, data.cosines[row][place]));
    });
    const words = document.createElement("p");
    words.textContent = "Its nearest images, with their cosine:";
    byId("chosen").replaceChildren(title, tile(row, CHOSEN_SCALE), words, list);
    redraw();
  }

  function showTip(event) {
    const row = event.points[0].customdata;
    if (row === undefined) return;
    const words = document.createElement("div");
    words.textContent = `${nameOf(row)} · image ${data.ids[row]}`;
    tip.replaceChildren(tile(row, TIP_SCALE), words);
    tip.hidden = false;
    const { clientX, clientY } = event.event;
    const left = Math.min(clientX + 16, innerWidth - tip.offsetWidth - 8);
    const top = Math.min(clientY + 16, innerHeight - tip.offsetHeight - 8);
    Object.assign(tip.style, { left: `${left}px`, top: `${top}px` });
  }

  function addProjections() {
    data.projections.forEach((each, index) => {
      const label = document.createElement("label"), input = document.createElement("input");
      Object.assign(input, { type: "radio", name: "projection", checked: index === projection });
      input.addEventListener("change", () => { projection = index; redraw(); });
      label.append(input, each.name);
      byId("projections").append(label);
    });
  }

  /* Each sheet is in the page once, however many thumbnails are cut out of it. */
  function addSheets() {
    const style = document.createElement("style");
    style.textContent = data.sheets
      .map((sheet, index) => `.sheet-${index} { background-image: url("${sheet}"); }`).join("\n");
    document.head.append(style);
  }

  addSheets();
  addProjections();
  byId("chooser").addEventListener("submit", (event) => {
    event.preventDefault();
    const row = rowOf.get(Number(byId("sample").value));
    if (row === undefined) byId("unknown").textContent = "this image is not in the map";
    else choose(row);
  });
  choose(0);
  plot.on("plotly_hover", showTip);
  plot.on("plotly_unhover", () => { tip.hidden = true; });
  plot.on("plotly_click", (event) => {
    if (event.points[0].customdata !== undefined) choose(event.points[0].customdata);
  });
})();
