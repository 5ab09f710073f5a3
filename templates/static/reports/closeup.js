// Offers a closer look at a chart over time: drawn by uPlot, with the values under the pointer, and zoom by dragging. The
// drawing made by the server stays what is shown first, printed, and read out; its table is below either.
"use strict";

window.closeups = (() => {
  const place = document.currentScript.dataset;
  const open = new Set(); // ids of the figures that are looked at closely, so that an update keeps them
  let library = null;

  const load = () => {
    library ??= new Promise((resolve, reject) => {
      const style = document.createElement("link");
      Object.assign(style, { rel: "stylesheet", href: place.style });
      const script = document.createElement("script");
      Object.assign(script, { src: place.library, onload: resolve, onerror: reject });
      document.head.append(style, script);
    });
    return library;
  };

  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const COLOURS = ["--band-6", "--band-1", "--band-2", "--band-3", "--band-4", "--band-5", "--band-6"];
  const colourOf = (kind) => {
    if (kind.startsWith("band-")) return colour(kind === "band-rest" ? "--band-rest" : COLOURS[Number(kind.slice(5)) % 7]);
    return colour(`--${kind}`);
  };

  const said = (value, unit) => {
    if (value === null || value === undefined) return "\u2013";
    if (unit === "%") return `${(value * 100).toFixed(2)}%`;
    return Math.round(value).toLocaleString("en");
  };

  // Areas lie on one another, the first at the bottom: uPlot draws from the top edge down, so the last one comes first.
  const stacked = (series) => {
    const lines = series.lines.map((line) => ({ ...line }));
    const base = series.times.map(() => 0);
    for (const line of lines) line.edge = line.values.map((value, at) => (base[at] += value));
    lines.reverse();
    return {
      data: [series.times, ...lines.map((line) => line.edge)],
      drawn: lines.map((line) => ({
        label: line.label,
        stroke: colour("--card"),
        width: 1,
        fill: colourOf(line.kind),
        paths: window.uPlot.paths.stepped({ align: 1 }),
        points: { show: false },
        value: (_plot, _edge, _series, at) => said(at === null ? null : line.values[at], series.unit),
      })),
      bands: [],
      range: [0, 1],
    };
  };

  const lined = (series) => {
    const data = [series.times], drawn = [], bands = [];
    for (const line of series.lines) {
      const stroke = colourOf(line.kind);
      const dash = line.kind === "control" ? [6, 3] : undefined;
      const width = line.kind === "other" ? 1 : 2.5;
      const value = (_plot, middle, _series, at) => {
        const reach = at === null || !line.low ? "" : ` (${said(line.low[at], series.unit)} to ${said(line.high[at], series.unit)})`;
        return middle === null ? said(null) : `${said(middle, series.unit)}${reach}`;
      };
      data.push(line.values);
      drawn.push({ label: line.label, stroke, dash, width, spanGaps: true, points: { show: false }, value });
      if (line.kind === "other") continue;
      const edge = { stroke: "transparent", width: 0, spanGaps: true, points: { show: false }, class: "edge" };
      data.push(line.high, line.low);
      drawn.push({ ...edge, label: "at most" }, { ...edge, label: "at least" });
      bands.push({ series: [data.length - 2, data.length - 1], fill: colour(`--${line.kind}-fill`) });
    }
    return { data, drawn, bands, range: undefined };
  };

  const DAY = 86400;
  const timeSaid = (seconds, step) => {
    const form = step >= DAY ? { day: "numeric", month: "short" } : { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
    return new Intl.DateTimeFormat("en-GB", { ...form, timeZone: "UTC" }).format(new Date(seconds * 1000));
  };

  const axis = (unit) => {
    const look = { stroke: colour("--soft"), grid: { stroke: colour("--line"), width: 1 }, ticks: { stroke: colour("--line"), width: 1 } };
    if (unit === undefined) return { ...look, values: (_plot, ticks, _axis, _space, step) => ticks.map((tick) => timeSaid(tick, step)) };
    const values = (_plot, ticks) => ticks.map((tick) => (unit === "%" ? `${+(tick * 100).toFixed(2)}%` : tick.toLocaleString("en")));
    return { ...look, values, size: 56 };
  };

  const draw = (figure, box, height) => {
    const series = JSON.parse(figure.querySelector("script[type='application/json']").textContent);
    const { data, drawn, bands, range } = series.form === "stack" ? stacked(series) : lined(series);
    const options = {
      width: box.clientWidth,
      height: Math.max(height, 220),
      tzDate: (seconds) => window.uPlot.tzDate(new Date(seconds * 1e3), "Etc/UTC"),
      scales: { y: range ? { range } : {} },
      series: [{ label: "Time (UTC)", value: "{YYYY}-{MM}-{DD} {HH}:{mm}" }, ...drawn],
      bands,
      axes: [axis(), axis(series.unit)],
    };
    return new window.uPlot(options, data, box);
  };

  const show = async (figure, button) => {
    await load();
    const drawings = figure.querySelector(".drawings");
    if (figure.querySelector(".closeup")) return;
    const box = document.createElement("div");
    box.className = "closeup";
    const height = drawings.clientHeight;
    drawings.before(box);
    drawings.hidden = true;
    draw(figure, box, height);
    button.textContent = "Back to the drawing";
    button.setAttribute("aria-pressed", "true");
    open.add(figure.id);
  };

  const hide = (figure, button) => {
    figure.querySelector(".closeup")?.remove();
    figure.querySelector(".drawings").hidden = false;
    button.textContent = "Look closer";
    button.setAttribute("aria-pressed", "false");
    open.delete(figure.id);
  };

  const offer = (part) => {
    for (const figure of part.querySelectorAll("figure.chart")) {
      if (!figure.querySelector("script[type='application/json']")) continue;
      const button = document.createElement("button");
      Object.assign(button, { type: "button", className: "closer", textContent: "Look closer" });
      button.setAttribute("aria-pressed", "false");
      button.title = "Values under the pointer; drag to zoom, double click to zoom out";
      figure.querySelector("figcaption").prepend(button);
      button.addEventListener("click", () => (open.has(figure.id) ? hide(figure, button) : show(figure, button)));
      if (open.has(figure.id)) show(figure, button);
    }
  };

  return { offer };
})();
