/* The zoomable time line: four panels over one view of virtual time, drawn as SVG from the data beside it. */
(function () {
  "use strict";
  const data = JSON.parse(document.getElementById("zoom-data").textContent);
  const root = document.getElementById("zoom");
  const status = document.getElementById("zoom-status");
  const PAD = { left: 52, right: 18, top: 8, bottom: 20 }, HEIGHT = 150, LEAST_S = 5;
  const DAY = 86400, HOUR = 3600;
  const UNIT = data.horizon >= 4 * DAY ? { s: DAY, name: "days" } : data.horizon >= 4 * HOUR ? { s: HOUR, name: "h" } : { s: 1, name: "s" };
  const whole = { from: 0, to: data.horizon };
  let view = { ...whole }, cursor = null, drag = null, clicked = -1000;

  const escaped = (text) => String(text).replace(/[&<>"]/g, (c) => "&#" + c.charCodeAt(0) + ";");
  const colour = (name) => (name === "ink" ? "var(--ink)" : "var(--c" + name.slice(1) + ", " + name + ")");
  const DIGITS = { s: 10, h: 1000, days: 10000 }[UNIT.name];  // some seconds, whatever the unit
  const inUnit = (value) => String(Math.round(value / UNIT.s * DIGITS) / DIGITS);

  const panels = data.panels.map((panel) => {
    const box = document.createElement("div");
    box.className = "zoom-panel";
    box.innerHTML = '<p class="zoom-title"><strong>' + escaped(panel.title) + "</strong> " +
      panel.series.map((s) => '<span><i class="zoom-key ' + s.kind + '" style="--key: ' + colour(s.colour) + '"></i>' +
        escaped(s.name) + "</span>").join(" ") + '</p><div class="zoom-plot"></div>';
    root.appendChild(box);
    return { ...panel, plot: box.querySelector(".zoom-plot") };
  });

  function ticks(low, high, most, isTime) {
    const rough = (high - low) / most, unit = Math.pow(10, Math.floor(Math.log10(rough)));
    const hours = isTime && UNIT.s === HOUR ? [0.25, 0.5, 1, 2, 3, 6, 12, 24] : [];  // as clocks divide a day
    const step = hours.find((s) => s >= rough && rough > 0.1) || [1, 2, 2.5, 5, 10].map((n) => n * unit).find((s) => s >= rough);
    const values = [];
    for (let k = Math.ceil(low / step - 1e-9); k * step <= high + step * 1e-9; k++) values.push(Number((k * step).toPrecision(10)));
    return values;
  }

  function highest(panel) {
    let top = 0;
    for (const s of panel.series) s.x.forEach((x, i) => {
      const until = s.kind === "step" ? (i + 1 < s.x.length ? s.x[i + 1] : data.horizon) : x;
      if (until >= view.from && x <= view.to && s.y[i] > top) top = s.y[i];
    });
    return panel.name === "accuracy" ? 1 : (top || 1) * 1.08;
  }

  function points(s, px, py) {
    const here = [];
    s.x.forEach((x, i) => {
      if (s.y[i] === null) return;
      const before = i + 1 < s.x.length && s.x[i + 1] < view.from, after = i > 0 && s.x[i - 1] > view.to;
      if (!before && !after) here.push([px(x), py(s.y[i]), s.base ? py(s.base[i]) : py.zero]);
    });
    if (s.kind === "step" && s.x.length) here.push([px(data.horizon), py(s.y[s.y.length - 1]), py.zero]);
    return here;
  }

  function drawn(s, px, py) {
    const here = points(s, px, py), at = (p) => p[0].toFixed(1) + " " + p[1].toFixed(1);
    if (!here.length) return "";
    if (s.kind === "area" || s.kind === "band") {
      const back = here.slice().reverse().map((p) => p[0].toFixed(1) + " " + p[2].toFixed(1));
      return '<path d="M' + here.map(at).concat(back).join("L") + 'Z" fill="' + s.colour + '" fill-opacity="' +
        (s.kind === "band" && s.name.includes("%") ? 0.2 : 0.55) + '"/>';
    }
    let line = "M" + at(here[0]);
    if (here.length === 1) line += "m-6 0h12";  // a single bin is a dash, not nothing
    for (let i = 1; i < here.length; i++) line += (s.kind === "step" ? "H" + here[i][0].toFixed(1) : "") + "L" + at(here[i]);
    return '<path d="' + line + '" fill="none" stroke="' + colour(s.colour) + '" stroke-width="1.8"' +
      (s.kind === "dashed" ? ' stroke-dasharray="5 3"' : "") + "/>";
  }

  function shading(px, bottom) {
    const spans = data.outages.filter((o) => o.to > view.from && o.from < view.to).map((o) =>
      '<rect class="' + (o.total ? "outage total" : "outage") + '" x="' + px(o.from).toFixed(1) + '" y="' + PAD.top + '" width="' +
      Math.max(1, px(o.to) - px(o.from)).toFixed(1) + '" height="' + (bottom - PAD.top) + '"><title>' + escaped(o.label) +
      " out, " + inUnit(o.from) + " to " + inUnit(o.to) + " " + UNIT.name + "</title></rect>");
    const end = px(data.warm_up);
    if (data.warm_up > view.from && data.warm_up < view.to) spans.push('<path class="warm" d="M' + end + " " + PAD.top + "V" + bottom + '"/>');
    return spans.join("");
  }

  function draw(panel, index) {
    const width = Math.max(240, panel.plot.clientWidth), bottom = HEIGHT - PAD.bottom, right = width - PAD.right;
    const low = panel.low, high = highest(panel);
    const px = (x) => PAD.left + (x - view.from) / (view.to - view.from) * (right - PAD.left);
    const py = (y) => bottom - (y - low) / (high - low) * (bottom - PAD.top);
    py.zero = py(low);
    const clip = "zoom-clip-" + index;
    const across = ticks(view.from / UNIT.s, view.to / UNIT.s, Math.max(3, Math.floor(width / 90)), true).map((t) =>
      '<text x="' + px(t * UNIT.s).toFixed(1) + '" y="' + (HEIGHT - 5) + '" text-anchor="middle">' + t + (t === 0 ? " " + UNIT.name : "") + "</text>").join("");
    const up = ticks(low * panel.factor, high * panel.factor, 4).map((t) => {
      const y = py(t / panel.factor).toFixed(1);
      return '<path class="grid" d="M' + PAD.left + " " + y + "H" + right + '"/><text x="' + (PAD.left - 6) + '" y="' + (Number(y) + 4) +
        '" text-anchor="end">' + t + "</text>";
    }).join("");
    const line = cursor === null || cursor < view.from || cursor > view.to ? "" :
      '<path class="cursor" d="M' + px(cursor).toFixed(1) + " " + PAD.top + "V" + bottom + '"/>';
    const chosen = drag && drag.now !== null ? '<rect class="chosen" x="' + Math.min(drag.px, drag.now) + '" y="' + PAD.top + '" width="' +
      Math.abs(drag.now - drag.px) + '" height="' + (bottom - PAD.top) + '"/>' : "";
    panel.plot.innerHTML = '<svg role="img" aria-label="' + escaped(panel.title + " from " + inUnit(view.from) + " to " + inUnit(view.to) + " " + UNIT.name) +
      '" data-from="' + view.from + '" data-to="' + view.to + '" width="' + width + '" height="' + HEIGHT + '"><clipPath id="' + clip +
      '"><rect x="' + PAD.left + '" y="' + (PAD.top - 2) + '" width="' + (right - PAD.left) + '" height="' + (bottom - PAD.top + 4) +
      '"/></clipPath><g clip-path="url(#' + clip + ')">' + shading(px, bottom) + "</g>" + up + across + '<g clip-path="url(#' + clip + ')">' +
      panel.series.map((s) => drawn(s, px, py)).join("") + line + chosen + "</g></svg>";
  }

  function nearest(s, x) {
    let best = 0;
    for (let i = 1; i < s.x.length; i++) {
      if (s.kind === "step" ? s.x[i] <= x : Math.abs(s.x[i] - x) < Math.abs(s.x[best] - x)) best = i;
    }
    const base = s.base && s.kind === "band" && !s.name.includes("%") ? s.base[best] : 0;
    return s.y[best] === undefined || s.y[best] === null ? null : s.y[best] - base;
  }

  function words() {
    if (cursor === null) return inUnit(view.from) + " to " + inUnit(view.to) + " " + UNIT.name + " of " + inUnit(data.horizon) + " " + UNIT.name;
    return "at " + inUnit(cursor) + " " + UNIT.name + ": " + panels.map((p) => p.series.filter((s) => !s.name.includes("%")).map((s) => {
      const y = nearest(s, cursor);
      return s.name + " " + (y === null ? "–" : Math.round(y * p.factor * 10) / 10 + (p.factor === 100 ? "%" : ""));
    }).join(", ")).join(" · ");
  }

  function show() {
    panels.forEach(draw);
    status.textContent = words();
  }

  function look(from, to) {
    const span = Math.min(Math.max(to - from, Math.min(LEAST_S, data.horizon)), data.horizon);
    const start = Math.min(Math.max((from + to - span) / 2, 0), data.horizon - span);
    view = { from: start, to: start + span };
    cursor = null;
    show();
  }

  const span = () => view.to - view.from, middle = () => (view.from + view.to) / 2;
  const moves = {
    in: () => look(middle() - span() / 4, middle() + span() / 4),
    out: () => look(middle() - span(), middle() + span()),
    left: () => look(view.from - span() / 4, view.to - span() / 4),
    right: () => look(view.from + span() / 4, view.to + span() / 4),
    whole: () => look(whole.from, whole.to),
  };
  const keys = { "+": "in", "=": "in", "-": "out", ArrowLeft: "left", ArrowRight: "right", 0: "whole", Escape: "whole", Home: "whole" };

  const tools = document.getElementById("zoom-tools");
  data.outages.slice(0, 6).forEach((o) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = o.label + " out";
    button.addEventListener("click", () => look(o.from - 0.25 * (o.to - o.from), o.to + 0.75 * (o.to - o.from)));
    tools.appendChild(button);
  });
  tools.querySelectorAll("[data-move]").forEach((b) => b.addEventListener("click", moves[b.dataset.move]));
  root.addEventListener("keydown", (event) => {
    if (!(event.key in keys) || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    moves[keys[event.key]]();
  });

  const place = (event) => {
    const box = panels[0].plot.getBoundingClientRect(), width = Math.max(240, panels[0].plot.clientWidth);
    const px = Math.min(Math.max(event.clientX - box.left, PAD.left), width - PAD.right);
    return { px, s: view.from + (px - PAD.left) / (width - PAD.right - PAD.left) * span() };
  };
  panels.forEach((panel) => {
    panel.plot.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      const at = place(event);
      drag = { px: at.px, s: at.s, now: null };
      panel.plot.setPointerCapture(event.pointerId);
    });
    panel.plot.addEventListener("pointermove", (event) => {
      const at = place(event);
      if (drag) drag.now = at.px;
      cursor = at.s;
      show();
    });
    panel.plot.addEventListener("pointerup", (event) => {
      const from = drag, at = place(event);
      drag = null;
      if (from && Math.abs(at.px - from.px) > 6) return look(Math.min(from.s, at.s), Math.max(from.s, at.s));
      // Not by "dblclick": the elements below the pointer are drawn anew between two clicks.
      const again = event.timeStamp - clicked < 400;
      clicked = again ? -1000 : event.timeStamp;
      if (again) moves.whole(); else show();
    });
    panel.plot.addEventListener("pointercancel", () => { drag = null; show(); });
    panel.plot.addEventListener("pointerleave", () => { if (!drag) { cursor = null; show(); } });
  });
  new ResizeObserver(show).observe(root);
  document.getElementById("zoom-section").hidden = false;
  document.getElementById("timeline-still").hidden = true;  // one time line, not two

  show();
})();
