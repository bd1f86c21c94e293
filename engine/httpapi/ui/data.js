// What the page knows: the samples of every member, as GET stats gives them, and
// what follows from them.

const known = { answer: null, bounds: [], members: new Map() };
const keepFor = 320e3; // milliseconds

// ask sends a request with the token, if there is one, and gives the answer with its
// JSON. A page that is left open must not wait for ever.
async function ask(path, options = {}) {
  const headers = new Headers(options.headers);
  const token = sessionStorage.getItem("token");
  if (token) headers.set("Authorization", "Bearer " + token);
  const response = await fetch(path, { ...options, headers, cache: "no-store", signal: AbortSignal.timeout(5000) });
  const text = await response.text();
  let body = null;
  try { body = JSON.parse(text); } catch { /* not one of Smache's */ }
  if (response.status === 401 || body && body.code === "read_only_token") askToken();
  return { response, text, body };
}

// learn takes an answer of stats: of each member, the samples not seen before. Clocks
// of other machines play no part: a sample's time follows from its age.
function learn(answer) {
  const now = Date.now();
  known.answer = answer;
  known.bounds = answer.latency_bounds;
  const names = new Set(answer.members.map((m) => m.name));
  for (const name of known.members.keys()) if (!names.has(name)) known.members.delete(name);
  for (const m of answer.members) {
    const of = known.members.get(m.name);
    if (m.error) {
      if (of) of.about = m;
      else known.members.set(m.name, { about: m, run: "", samples: [] });
      continue;
    }
    const seen = of && of.run === m.run ? of.samples : [];
    const last = seen.length ? seen[seen.length - 1].number : 0;
    const fresh = [];
    let at = now - m.age * 1000;
    for (let i = m.samples.number.length - 1; i >= 0 && m.samples.number[i] > last; i--) {
      const s = { at, latency: m.samples.latency[i] };
      for (const figure in m.samples) if (figure !== "latency") s[figure] = m.samples[figure][i];
      fresh.push(s);
      at -= s.span_ms;
    }
    const samples = seen.concat(fresh.reverse()).filter((s) => s.at > now - keepFor);
    known.members.set(m.name, { about: m, run: m.run, samples });
  }
}

// sum adds samples up: counts for each second, sizes as of the last sample.
function sum(samples) {
  if (!samples.length) return null;
  const last = samples[samples.length - 1];
  const total = (figure) => samples.reduce((n, s) => n + s[figure], 0);
  const seconds = total("span_ms") / 1000;
  const latency = last.latency.map((_, i) => samples.reduce((n, s) => n + s.latency[i], 0));
  const out = { ...last, latency, hits: total("hits"), misses: total("misses") };
  for (const f of ["reads", "writes", "deletes", "failed", "forwarded", "evictions", "expirations", "sent_bytes", "received_bytes"]) {
    out[f] = total(f) / seconds;
  }
  out.processor = total("processor_us") / 1e6 / seconds;
  out.requests = out.reads + out.writes + out.deletes;
  return out;
}

// join adds up what sum gave of several members.
function join(parts) {
  parts = parts.filter((p) => p);
  if (!parts.length) return null;
  const total = (figure) => parts.reduce((n, p) => n + p[figure], 0);
  const out = { latency: parts[0].latency.map((_, i) => parts.reduce((n, p) => n + p.latency[i], 0)) };
  for (const f in parts[0]) if (f !== "latency") out[f] = total(f);
  const ages = parts.filter((p) => p.entries > 0).map((p) => p.arena_age_ms);
  out.arena_age_ms = ages.length ? Math.min(...ages) : 0;
  out.moving = Math.max(...parts.map((p) => p.moving));
  return out;
}

const hitRate = (s) => s && s.hits + s.misses > 0 ? s.hits / (s.hits + s.misses) : undefined;

// percentile gives the time, in seconds, within which that part of the requests was
// answered: in proportion within a class; of the last one, where it begins.
function percentile(s, part) {
  if (!s) return undefined;
  const all = s.latency.reduce((a, b) => a + b, 0);
  if (!all) return undefined;
  let before = 0;
  for (let i = 0; i < s.latency.length; i++) {
    const n = s.latency[i];
    if (before + n >= part * all && n > 0) {
      const low = i ? known.bounds[i - 1] : 0;
      return i < known.bounds.length ? low + (known.bounds[i] - low) * (part * all - before) / n : low;
    }
    before += n;
  }
  return undefined;
}

// lately gives a member's samples of the last ten seconds as one, if there are any.
function lately(member, within = 10e3) {
  return sum(member.samples.filter((s) => s.at > Date.now() - within));
}

// course gives the cluster's figures over time: one point for each step, the whole of
// the members in each. The last moments are left out: not all have told of them yet.
function course(seconds) {
  const step = seconds > 60 ? 5e3 : 2e3;
  const end = Math.floor((Date.now() - 1500) / step);
  const points = [];
  for (let i = end - seconds * 1000 / step; i < end; i++) points.push({ at: i * step, parts: [] });
  const first = end - points.length;
  for (const m of known.members.values()) {
    const steps = points.map(() => []);
    for (const s of m.samples) {
      const i = Math.floor(s.at / step) - first;
      if (i >= 0 && i < steps.length) steps[i].push(s);
    }
    steps.forEach((list, i) => points[i].parts.push(sum(list)));
  }
  return points.map((p) => ({ at: p.at, is: join(p.parts) }));
}
