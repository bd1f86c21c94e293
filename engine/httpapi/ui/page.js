// The figures on the page, and the asking for them.

const requests = chart("Requests/s", [
  { name: "reads", color: 0, area: true, of: (s) => s.reads },
  { name: "writes", color: 1, area: true, of: (s) => s.writes },
  { name: "deletes", color: 3, of: (s) => s.deletes },
], showCount, { least: 1 });
const hits = chart("Hit rate", [{ name: "hits", color: 2, area: true, of: hitRate }], showShare, { most: 1 });
const latency = chart("Latency", [
  { name: "p50", color: 2, of: (s) => percentile(s, 0.5) },
  { name: "p99", color: 3, of: (s) => percentile(s, 0.99) },
  { name: "p99.9", color: 4, of: (s) => percentile(s, 0.999) },
], showLatency, { least: 1e-4, zero: "0" });
const memory = chart("Memory", [
  { name: "resident", color: 0, area: true, of: (s) => s.resident_bytes },
  { name: "in entries", color: 1, area: true, of: (s) => s.live_bytes },
], showBytes, { zero: "0", base: 1024 });
const age = chart("Arena age", [
  { name: "oldest entry", color: 2, area: true, of: (s) => s.entries ? s.arena_age_ms / 1000 : undefined },
], showTime, { least: 1, zero: "0", base: 60 });
const going = chart("Entries that go/s", [
  { name: "expired", color: 7, area: true, of: (s) => s.expirations },
  { name: "evicted", color: 4, of: (s) => s.evictions },
], showCount, { least: 1 });

// tiles shows the cluster as it is now, which is what present gives.
function tiles(now) {
  const tile = (name, value, sub) => make("div", {}, make("dt", {}, name), make("dd", {}, value), make("dd", { className: "sub" }, sub));
  const s = now || {};
  byId("tiles").replaceChildren(
    tile("Requests", now ? showCount(s.requests) + "/s" : none, now ? (s.failed ? showCount(s.failed) + "/s refused" : "none refused") : ""),
    tile("Hit rate", showShare(hitRate(now)), now && !isNumber(hitRate(now)) ? "no reads now" : "of reads"),
    tile("Latency, p50", showLatency(percentile(now, 0.5)), "p99 " + showLatency(percentile(now, 0.99))),
    tile("Entries", showCount(s.entries), now ? (s.evictions ? showCount(s.evictions) + "/s evicted" : "none evicted") : ""),
    tile("Memory", showBytes(s.resident_bytes || s.live_bytes), now ? "of " + showBytes(s.memory_bytes) : ""),
    tile("Arena age", now ? (s.entries ? showTime(s.arena_age_ms / 1000) : none) : none, "of the oldest entry"));
}

const stateColors = { serving: "good", joining: "warn", leaving: "warn" };

// rows shows the members as they are at a moment, each in its row, which stays the same
// element.
function rows(members, at) {
  const old = new Map([...byId("rows").children].map((r) => [r.dataset.node, r]));
  byId("rows").replaceChildren(...members.map((m, i) => {
    const s = m.about.error ? null : lately(m, at);
    const state = m.about.error ? { silent: "silent", no_answer: "no answer", not_known: "old build" }[m.about.error] || m.about.error : m.about.state;
    const cell = (name, value) => {
      const c = make("td", { className: "n" }, value);
      c.dataset.name = name;
      return c;
    };
    const row = old.get(m.about.name) || make("tr");
    row.dataset.node = m.about.name;
    row.title = [m.about.http && "HTTP " + m.about.http, m.about.peer && "peer port " + m.about.peer, m.about.version].filter((t) => t).join(", ");
    const swatch = make("i");
    const name = make("th", { scope: "row", className: "s" + i % 8 }, swatch, m.about.name + (m.about.name === known.answer.node ? " (asked)" : ""));
    row.replaceChildren(name,
      make("td", {}, make("span", { className: "badge state " + (m.about.error ? "bad" : stateColors[state] || "bad") }, state)),
      cell("Slots", showShare(m.about.slots / 65536)), cell("Req/s", s ? showCount(s.requests) : none), cell("Hits", showShare(hitRate(s))),
      cell("p50", showLatency(percentile(s, 0.5))), cell("p99", showLatency(percentile(s, 0.99))),
      cell("Entries", s ? showCount(s.entries) : none), cell("Memory", s ? showBytes(s.resident_bytes || s.live_bytes) : none),
      cell("Arena age", s && s.entries ? showTime(s.arena_age_ms / 1000) : none), cell("CPU", s ? showShare(s.processor) : none));
    return row;
  }));
}

// health says in a few words whether all is well.
function health(members, moving) {
  const bad = members.filter((m) => m.about.error || m.about.state === "silent").length;
  const busy = members.filter((m) => m.about.state !== "serving" && !m.about.error).length;
  let text = members.length === 1 ? "One node, serving" : members.length + " nodes, all serving", color = "good";
  if (moving) [text, color] = [`${plural(members.length, "node", "nodes")}, ${plural(moving, "slot", "slots")} moving`, "warn"];
  if (busy) [text, color] = [`${busy} of ${plural(members.length, "node", "nodes")} joining or leaving`, "warn"];
  if (bad) [text, color] = [`${bad} of ${plural(members.length, "node", "nodes")} not answering`, "bad"];
  const badge = byId("health");
  if (badge.textContent !== text) badge.textContent = text; // not to be read out again
  badge.className = "badge " + color;
}

// show draws everything as it is at one moment, however long that takes.
function show() {
  if (!known.answer) return;
  const members = [...known.members.values()], at = Date.now();
  const now = present(at);
  const moving = Math.max(known.answer.moving, now ? now.moving : 0);
  tiles(now);
  const points = course(+document.querySelector("[name=window]:checked").value, now);
  for (const update of [requests, hits, latency, memory, age, going]) update(points);
  drawRing(members.map((m) => m.about), moving);
  rows(members, at);
  health(members, moving);
  byId("asked").textContent = "seen from " + known.answer.node;
  byId("version").textContent = "Smache " + [...new Set(members.map((m) => m.about.version).filter((v) => v))].join(", ");
}

function trouble(text) {
  if (byId("trouble").textContent !== text) byId("trouble").textContent = text;
  byId("trouble").hidden = !text;
  if (text) {
    byId("health").textContent = "No figures";
    byId("health").className = "badge bad";
  }
}

// look asks for what is new, and again a second later. A page that nobody sees does
// not ask.
let timer = 0, heard = 0;
async function look() {
  clearTimeout(timer);
  if (!document.hidden) {
    const last = Math.min(300, Math.max(known.missing, Math.ceil((Date.now() - heard) / 1000)) + 3);
    try {
      const { response, body } = await ask("stats?last=" + last);
      if (response.ok && body) {
        heard = Date.now();
        learn(body, last);
        trouble("");
        show();
      } else if (response.status === 401) {
        trouble("This node wants a token before it shows anything.");
      } else if (response.status !== 503 || Date.now() - heard > 5e3) {
        trouble(`This node answers ${response.status}: ${body ? body.message : "that is not Smache"}`);
      }
    } catch {
      trouble("This node does not answer. Trying again…");
    }
  }
  clearTimeout(timer); // another may have begun meanwhile
  timer = setTimeout(look, 1000);
}
document.addEventListener("visibilitychange", () => { if (!document.hidden) look(); });
for (const choice of document.querySelectorAll("[name=window]")) choice.addEventListener("change", show);

// The token, in this tab alone.
function askToken() {
  if (!byId("token").hidden) return;
  byId("token").hidden = false;
  byId("token").elements.token.focus();
}
byId("token").addEventListener("submit", (e) => {
  e.preventDefault();
  sessionStorage.setItem("token", e.target.elements.token.value.trim());
  e.target.elements.token.value = "";
  e.target.hidden = true;
  byId("main").focus();
  look();
});

// The links in the footer: a browser that follows one sends no token, so where one is
// needed the page asks, and shows the answer in its place.
for (const link of document.querySelectorAll("footer a")) {
  link.addEventListener("click", async (e) => {
    if (!sessionStorage.getItem("token") && byId("token").hidden) return;
    e.preventDefault();
    try {
      const { response, text } = await ask(link.getAttribute("href"));
      if (response.ok) location.assign(URL.createObjectURL(new Blob([text], { type: "text/plain;charset=utf-8" })));
      else if (response.status !== 401) trouble(`This node answers ${response.status}.`);
    } catch {
      trouble("This node does not answer. Trying again…");
    }
  });
}

// The theme: as the system has it, or as chosen.
const themes = ["auto", "light", "dark"];
function setTheme(theme) {
  if (theme === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  byId("theme").textContent = "Theme: " + theme;
  try { localStorage.setItem("theme", theme); } catch { /* then it is not kept */ }
}
let theme = "auto";
try { theme = localStorage.getItem("theme") || theme; } catch { /* as above */ }
if (theme !== "auto") setTheme(theme);
byId("theme").addEventListener("click", () => {
  theme = themes[(themes.indexOf(theme) + 1) % themes.length];
  setTheme(theme);
});

tiles(null);
look();
