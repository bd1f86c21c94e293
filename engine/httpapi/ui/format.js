// How figures are written, and how elements are made.

const byId = (id) => document.getElementById(id);

// make builds an element: its properties, then its children. Text is always text.
function make(tag, properties, ...children) {
  const e = Object.assign(document.createElement(tag), properties);
  e.append(...children);
  return e;
}

// draw builds an element of a drawing, with attributes.
function draw(tag, attributes, ...children) {
  const e = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const name in attributes) e.setAttribute(name, attributes[name]);
  e.append(...children);
  return e;
}

// digits writes a number with the three digits that matter.
const digits = (v) => v >= 100 ? Math.round(v).toLocaleString("en") : String(+v.toPrecision(3));

const none = "–";
const isNumber = (v) => typeof v === "number" && isFinite(v);

function showCount(v) {
  if (!isNumber(v)) return none;
  for (const [size, unit] of [[1e9, "G"], [1e6, "M"], [1e4, "k"]]) {
    if (v >= size) return digits(v / (size === 1e4 ? 1e3 : size)) + unit;
  }
  return v >= 10 || Number.isInteger(v) ? Math.round(v).toLocaleString("en") : v.toFixed(1);
}

function showBytes(v) {
  if (!isNumber(v)) return none;
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let i = 0;
  for (; v >= 1000 && i < units.length - 1; i++) v /= 1024;
  return digits(v) + " " + units[i];
}

function showShare(v) {
  return isNumber(v) ? (v * 100).toFixed(v >= 0.9995 || v === 0 ? 0 : 1) + "%" : none;
}

// showLatency writes seconds, which are known to within a class of the histogram.
function showLatency(v) {
  if (!isNumber(v)) return none;
  if (v < 1e-3) return digits(v * 1e6) + " µs";
  return v < 1 ? digits(v * 1e3) + " ms" : digits(v) + " s";
}

// showTime writes seconds as people say them.
function showTime(v) {
  if (!isNumber(v)) return none;
  if (v < 60) return v < 10 ? v.toFixed(1) + " s" : Math.round(v) + " s";
  if (v < 3600) return Math.floor(v / 60) + " min " + Math.floor(v % 60) + " s";
  if (v < 86400) return Math.floor(v / 3600) + " h " + Math.floor(v / 60 % 60) + " min";
  return Math.floor(v / 86400) + " d " + Math.floor(v / 3600 % 24) + " h";
}

const plural = (n, one, many) => n.toLocaleString("en") + " " + (n === 1 ? one : many);
