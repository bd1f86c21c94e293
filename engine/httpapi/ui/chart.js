// Lines over time, and the ring of slots.

// chart makes a chart of some lines, and gives what brings it up to date. The legend
// shows the present, as the tiles do, or what is under the pointer; arrow keys move
// there too. It keeps its lines meanwhile, so that the chart stays where the pointer is.
function chart(title, lines, show, options = {}) {
  const legend = make("div", { className: "legend" });
  const values = lines.map((line, i) => {
    const value = make("b");
    legend.append(make("span", { className: "s" + line.color }, make("i"), line.name + " ", value));
    return value;
  });
  const svg = draw("svg", { role: "img", tabindex: 0 });
  const box = make("article", { className: "card chart" },
    make("div", { className: "top" }, make("h2", {}, title), legend), svg);
  byId("charts").append(box);
  let points = [], at = -1;
  // part says where a point is, from 0 at the first to 1 at the last.
  const part = (i) => points.length > 1 ? (points[i].at - points[0].at) / (points[points.length - 1].at - points[0].at) : 0;
  const nearest = (is) => points.reduce((best, _, i) => Math.abs(part(i) - is) < Math.abs(part(best) - is) ? i : best, 0);

  function paint() {
    const width = svg.clientWidth || 300, height = svg.clientHeight || 150;
    const left = 58, top = 8, low = height - 20;
    svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    const of = (p, line) => p.is ? line.of(p.is) : undefined;
    const most = Math.max(options.least || 0, ...points.flatMap((p) => lines.map((l) => of(p, l)).filter(isNumber)));
    const full = options.most || ceiling(most, options.base);
    const x = (i) => left + (width - left - 4) * part(i);
    const y = (v) => low - (low - top) * Math.min(v / full, 1);
    const parts = [0, 0.5, 1].map((level) => draw("g", {},
      draw("line", { class: "grid", x1: left, x2: width - 4, y1: y(level * full), y2: y(level * full) }),
      draw("text", { x: left - 8, y: y(level * full) + 4, "text-anchor": "end" }, level || !options.zero ? show(level * full) : options.zero)));
    const shown = at >= 0 && at < points.length ? at : points.length - 1;
    const p = points[shown];
    const when = shown < points.length - 1 ? Math.round((Date.now() - p.at) / 1000) + " s ago" : "";
    if (when) {
      parts.push(draw("text", { x: Math.max(left + 26, Math.min(x(at), width - 30)), y: height - 4, "text-anchor": "middle" }, when));
    } else if (points.length > 1) {
      const span = Math.round((points[points.length - 1].at - points[0].at) / 1000);
      const ago = span > 50 ? Math.round(span / 60) + " min ago" : span + " s ago";
      parts.push(draw("text", { x: left, y: height - 4 }, ago), draw("text", { x: width - 4, y: height - 4, "text-anchor": "end" }, "now"));
    }
    lines.forEach((line) => {
      const stretches = [];
      let run = [];
      points.forEach((point, i) => {
        const v = of(point, line);
        if (isNumber(v)) run.push([x(i), y(v)]);
        else if (run.length) { stretches.push(run); run = []; }
      });
      if (run.length) stretches.push(run);
      for (const s of stretches) {
        if (s.length === 1) s.push([s[0][0] + 1, s[0][1]]);
        const d = "M" + s.map(([a, b]) => a.toFixed(1) + " " + b.toFixed(1)).join("L");
        if (line.area) parts.push(draw("path", { class: "area s" + line.color, d: `${d}L${s[s.length - 1][0].toFixed(1)} ${low}L${s[0][0].toFixed(1)} ${low}Z` }));
        parts.push(draw("path", { class: "s" + line.color, d }));
      }
    });
    if (at >= 0 && at < points.length) parts.push(draw("line", { class: "cross", x1: x(at), x2: x(at), y1: top, y2: low }));
    svg.replaceChildren(...parts);
    lines.forEach((line, i) => { values[i].textContent = p ? show(of(p, line)) : none; });
    svg.setAttribute("aria-label", title + ": " + lines.map((line, i) => line.name + " " + values[i].textContent).join(", ") + (when && ", " + when));
  }
  svg.addEventListener("pointermove", (e) => {
    const r = svg.getBoundingClientRect();
    at = nearest((e.clientX - r.left - 58) / (r.width - 62));
    paint();
  });
  svg.addEventListener("pointerleave", () => { at = -1; paint(); });
  svg.addEventListener("blur", () => { at = -1; paint(); });
  svg.addEventListener("keydown", (e) => {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[e.key];
    if (by) at = Math.max(0, Math.min(points.length - 1, (at < 0 ? points.length - 1 : at) + by));
    else if (e.key === "Escape") at = -1;
    else return;
    e.preventDefault();
    paint();
  });
  new ResizeObserver(paint).observe(svg);
  return (next) => { points = next; paint(); };
}

// ceiling gives a round number above v; of bytes, one that is round in its unit.
function ceiling(v, base = 1) {
  if (!(v > 0)) return 1;
  const unit = base > 1 ? base ** Math.max(0, Math.floor(Math.log(v) / Math.log(base))) : 1;
  const size = 10 ** Math.floor(Math.log10(v / unit));
  for (const step of [1, 2, 4, 6, 10]) if (v / unit <= step * size) return step * size * unit;
  return v;
}

// drawRing shows whose the slots are. Members beyond the eighth share the colours.
function drawRing(members, moving) {
  const ring = byId("ring"), around = 2 * Math.PI * 50;
  const total = 65536;
  const parts = [draw("circle", { cx: 60, cy: 60, r: 50 })];
  let from = 0;
  members.forEach((m, i) => {
    if (!m.slots) return;
    const long = m.slots / total * around, gap = members.length > 1 && long > 3 ? 1.5 : 0;
    parts.push(draw("circle", {
      cx: 60, cy: 60, r: 50, class: "s" + i % 8, transform: "rotate(-90 60 60)",
      "stroke-dasharray": `${Math.max(long - gap, 0.5)} ${around}`, "stroke-dashoffset": -from,
    }, draw("title", {}, `${m.name}: ${plural(m.slots, "slot", "slots")}`)));
    from += long;
  });
  parts.push(draw("text", { x: 60, y: 57 }, (moving || total).toLocaleString("en")),
    draw("text", { x: 60, y: 69, class: "small" }, moving === 1 ? "slot" : "slots"),
    draw("text", { x: 60, y: 79, class: "small" }, moving ? "moving" : "none moving"));
  ring.replaceChildren(...parts);
  ring.setAttribute("aria-label", "Slots: " + members.map((m) => m.name + " " + showShare(m.slots / total)).join(", ") +
    (moving ? "; " + moving + " moving" : ""));
}
