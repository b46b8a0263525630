/* Draws the page's figures when they come into view, all of them before printing, in the colours
   of the style sheet. In: the JSON beside each chart. Out: charts. */
"use strict";

const charts = (() => {
  const PRINTED_PX = 660;
  const LETTER_PX = 6.9;
  const LEGEND_SAMPLE_PX = 52;
  const LEGEND_LINE_PX = 26;
  const CONFIG = {
    displaylogo: false,
    displayModeBar: !matchMedia("(pointer: coarse)").matches, // fingers scroll the page
    modeBarButtons: [["zoom2d", "pan2d", "resetScale2d", "toImage"]],
    plotlyServerURL: "", // nothing here is sent anywhere
    showSendToCloud: false,
  };
  const root = document.documentElement;
  const drawn = new Map(); // element → its figure

  const variable = (name) => getComputedStyle(root).getPropertyValue(name).trim();

  /* What a layout takes from the style sheet. */
  function theme(layout) {
    const ink = variable("--ink"), rule = variable("--rule"), ground = variable("--ground");
    const patch = {
      paper_bgcolor: ground, plot_bgcolor: ground,
      "font.color": ink, "font.family": variable("--sans"),
      "hoverlabel.bgcolor": ground, "hoverlabel.bordercolor": rule, "hoverlabel.font.color": ink,
      "modebar.bgcolor": "rgba(0,0,0,0)", "modebar.color": variable("--quiet"), "modebar.activecolor": ink,
    };
    for (const axis of Object.keys(layout).filter((key) => /^[xy]axis\d*$/.test(key))) {
      Object.assign(patch, {
        [`${axis}.color`]: ink, [`${axis}.linecolor`]: variable("--quiet"),
        [`${axis}.tickcolor`]: variable("--quiet"), [`${axis}.gridcolor`]: rule, [`${axis}.zerolinecolor`]: rule,
      });
    }
    return patch;
  }

  /* A legend below the panels takes as many lines as the width asks for. */
  function size(figure, width) {
    const patch = { width, height: figure.height };
    if (!figure.layout.showlegend) return patch;
    const names = figure.data.filter((trace) => trace.name && trace.showlegend !== false)
      .map((trace) => trace.name.length);
    const columns = Math.max(1, Math.floor(width / (Math.max(...names) * LETTER_PX + LEGEND_SAMPLE_PX)));
    const room = Math.ceil(names.length / columns) * LEGEND_LINE_PX + 12;
    return { ...patch, height: figure.height + room, "margin.b": figure.bottom + room };
  }

  const widthOf = (element) => (root.classList.contains("printing")
    ? Math.min(PRINTED_PX, PRINTED_PX * Number(element.dataset.share || 1))
    : element.clientWidth);

  function draw(element, data, layout) {
    const figure = { data, layout, height: layout.height, bottom: (layout.margin || {}).b || 48 };
    if (!CONFIG.displayModeBar) layout.dragmode = false;
    drawn.set(element, figure);
    element.style.minHeight = "";
    Plotly.react(element, data, layout, CONFIG);
    refresh(element);
    element.dataset.drawn = "yes";
  }

  function refresh(element) {
    const figure = drawn.get(element);
    const patch = { ...theme(figure.layout), ...size(figure, widthOf(element)) };
    Plotly.relayout(element, patch).then(() => leaveOut(element));
  }

  /* To the keyboard a chart is a picture: nothing inside it is to be stepped through. */
  function leaveOut(element) {
    element.querySelectorAll(".modebar-btn").forEach((button) => { button.tabIndex = -1; });
  }

  function drawStored(element) {
    if (drawn.has(element)) return;
    const stored = element.closest("figure").querySelector("script[type='application/json']");
    const figure = JSON.parse(stored.textContent);
    draw(element, figure.data, figure.layout);
  }

  function start() {
    const stored = [...document.querySelectorAll("figure > .chart")];
    const seen = new IntersectionObserver((entries) => {
      for (const entry of entries.filter((each) => each.isIntersecting)) {
        seen.unobserve(entry.target);
        drawStored(entry.target);
      }
    }, { rootMargin: "400px" });
    stored.forEach((element) => seen.observe(element));
    const refreshAll = () => [...drawn.keys()].forEach(refresh);
    let width = innerWidth;
    addEventListener("resize", () => {
      if (innerWidth === width) return; // a phone's address bar came or went
      width = innerWidth;
      refreshAll();
    });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", refreshAll);
    addEventListener("beforeprint", () => {
      root.classList.add("printing");
      stored.forEach(drawStored);
      refreshAll();
    });
    addEventListener("afterprint", () => {
      root.classList.remove("printing");
      refreshAll();
    });
  }

  start();
  return { draw };
})();
