// What the page knows: the samples of every member, as GET stats gives them, and
// what follows from them.

// missing is how many of the last samples have to be asked for to fill what a member
// has not told in time.
const known = { answer: null, bounds: [], members: new Map(), missing: 0 };
const keepFor = 320e3; // milliseconds

// recent is what "now" is an average of, in milliseconds: in the tiles, in the table
// and where the lines of the charts end, so that all of them say the same.
const recent = 5e3;

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

// learn takes an answer of stats, which was asked for so many samples of each member,
// and adds those not known yet. Clocks of other machines play no part: a sample's time
// follows from its age.
function learn(answer, asked) {
  const now = Date.now();
  known.answer = answer;
  known.bounds = answer.latency_bounds;
  known.missing = 0;
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
    const have = new Set(seen.map((s) => s.number));
    const fresh = [];
    let at = now - m.age * 1000;
    for (let i = m.samples.number.length - 1; i >= 0; i--) {
      const s = { at, latency: m.samples.latency[i] };
      for (const figure in m.samples) if (figure !== "latency") s[figure] = m.samples[figure][i];
      if (!have.has(s.number)) fresh.push(s);
      at -= s.span_ms;
    }
    const samples = seen.concat(fresh).sort((a, b) => a.number - b.number).filter((s) => s.at > now - keepFor);
    known.members.set(m.name, { about: m, run: m.run, samples });
    // A member that was late has a gap, which it fills if it is asked for more. One that
    // gave fewer than it was asked for has no more.
    const gap = samples.findIndex((s, i) => i && s.number !== samples[i - 1].number + 1);
    if (gap > 0 && m.samples.number.length >= asked) {
      known.missing = Math.max(known.missing, samples[samples.length - 1].number - samples[gap - 1].number);
    }
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

// lately gives a member's samples that are recent at a moment as one, if there are any.
function lately(member, at) {
  return sum(member.samples.filter((s) => s.at > at - recent));
}

// present gives the cluster's figures as they are at a moment. A member that has just failed to
// answer in time counts as long as what it told is recent.
function present(at) {
  return join([...known.members.values()].map((m) => lately(m, at)));
}

// course gives the cluster's figures over time: one point for each step, the whole of
// the members in each, and the present as the last. The steps of the last moments are
// left out: not all members have told of them yet.
function course(seconds, now) {
  const step = seconds > 60 ? 5e3 : 2e3;
  const end = Math.floor((Date.now() - 1500) / step);
  const points = [];
  for (let i = end - seconds * 1000 / step; i < end; i++) points.push({ at: (i + 1) * step, parts: [] });
  const first = end - points.length;
  for (const m of known.members.values()) {
    const steps = points.map(() => []);
    for (const s of m.samples) {
      // The sample of a node that is short of time may span several steps.
      const to = Math.floor(s.at / step) - first, from = Math.floor((s.at - s.span_ms) / step) + 1 - first;
      for (let i = Math.max(0, Math.min(from, to)); i <= to && i < steps.length; i++) steps[i].push(s);
    }
    steps.forEach((list, i) => points[i].parts.push(sum(list)));
  }
  return [...points.map((p) => ({ at: p.at, is: join(p.parts) })), { at: Date.now(), is: now }];
}
