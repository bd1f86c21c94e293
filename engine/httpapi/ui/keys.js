// One key: looking it up, writing and deleting it, by the API that everybody uses.

let found = null; // the key and the ETag of what was looked up

// indent breaks the text of a JSON value into lines. It goes by the characters, so
// that every number and every name stays as it was sent.
function indent(text) {
  let out = "", depth = 0, quoted = false;
  const line = () => "\n" + "  ".repeat(depth);
  for (let i = 0; i < text.length; i++) {
    const c = text[i];
    if (quoted) {
      out += c;
      if (c === "\\") out += text[++i];
      else if (c === "\"") quoted = false;
    } else if (c === "\"") {
      quoted = true;
      out += c;
    } else if (c === "{" || c === "[") {
      if (text[i + 1] === "}" || text[i + 1] === "]") out += c + text[++i];
      else { depth++; out += c + line(); }
    } else if (c === "}" || c === "]") {
      depth--;
      out += line() + c;
    } else {
      out += c === "," ? c + line() : c === ":" ? ": " : c;
    }
  }
  return out;
}

// dataOf cuts the data out of the text of an answer to a read, which stands between
// the key and the name of the node: parsing it would change its numbers.
const dataOf = (text) => text.slice(text.indexOf(",\"data\":") + 8, text.lastIndexOf(",\"node\":"));

const why = (a) => a.body && a.body.message ? a.body.message : "the answer is " + a.response.status;

function say(text, color) {
  byId("found").replaceChildren(make("p", { className: "result " + color }, text));
}

async function lookUp(key) {
  found = null;
  byId("guarded").hidden = true;
  let a;
  try {
    a = await ask("api?key=" + encodeURIComponent(key));
  } catch {
    return say("The node does not answer.", "bad");
  }
  if (!a.response.ok) return say("Not read: " + why(a) + ".", "bad");
  if (a.body.data === null) return say(`There is no entry ${key}. ${a.body.node} would hold it.`, "");
  const data = dataOf(a.text), h = a.response.headers;
  found = { key, etag: h.get("ETag") };
  const facts = make("dl", { className: "facts" });
  for (const [name, value] of [
    ["Held by", a.body.node],
    ["Age", h.has("Smache-Age") ? showTime(+h.get("Smache-Age")) : none],
    ["Time left", h.has("Smache-TTL") ? showTime(+h.get("Smache-TTL")) : "for ever"],
    ["ETag", found.etag || none],
    ["Size", showBytes(new TextEncoder().encode(data).length)],
  ]) facts.append(make("dt", {}, name), make("dd", {}, value));
  const edit = make("button", { type: "button" }, "Edit");
  edit.addEventListener("click", () => {
    const form = byId("write").elements;
    form.key.value = key;
    form.data.value = indent(data);
    form.data.rows = Math.min(Math.max(form.data.value.split("\n").length, 4), 20);
    form.ttl.value = h.has("Smache-TTL") ? Math.ceil(+h.get("Smache-TTL")) : "";
    guard();
    form.data.focus();
    form.data.setSelectionRange(0, 0);
    form.data.scrollTop = 0;
  });
  byId("found").replaceChildren(make("pre", { tabIndex: 0 }, indent(data)), facts,
    make("div", { className: "row" }, edit, deleteButton(key)));
  byId("found").firstChild.setAttribute("aria-label", "Data of " + key);
}

// deleteButton asks once more before it deletes.
function deleteButton(key) {
  const button = make("button", { type: "button", className: "danger" }, "Delete");
  let sure = false;
  const calm = () => { sure = false; button.textContent = "Delete"; };
  button.addEventListener("blur", calm);
  button.addEventListener("click", async () => {
    if (!sure) {
      sure = true;
      button.textContent = "Delete for good?";
      return;
    }
    try {
      const a = await ask("api?key=" + encodeURIComponent(key), { method: "DELETE" });
      if (!a.response.ok) return say("Not deleted: " + why(a) + ".", "bad");
      found = null;
      guard();
      say(a.body.deleted ? `${key} is deleted.` : `There was no entry ${key} any more.`, "good");
      byId("look").elements.key.focus();
    } catch {
      say("The node does not answer: it may be deleted, or not.", "bad");
    }
  });
  return button;
}

// guard offers the condition when what is to be written was looked up.
function guard() {
  byId("guarded").hidden = !found || !found.etag || byId("write").elements.key.value !== found.key;
}

async function write(form) {
  const result = (text, color) => {
    byId("written").className = "result " + color;
    byId("written").textContent = text;
  };
  const key = form.key.value, data = form.data.value, ttl = form.ttl.value.trim().replace(",", ".");
  try {
    JSON.parse(data);
  } catch (e) {
    form.data.focus();
    return result("This is not JSON: " + e.message, "bad");
  }
  if (ttl && !(/^\d+(\.\d+)?$/.test(ttl) && +ttl > 0)) {
    form.ttl.focus();
    return result("The seconds to live are a number above 0, or nothing.", "bad");
  }
  const headers = { "Content-Type": "application/json" };
  if (!byId("guarded").hidden && form.guarded.checked) headers["If-Match"] = found.etag;
  try {
    const body = `{"key":${JSON.stringify(key)},"data":${data}${ttl ? `,"ttl":${ttl}` : ""}}`;
    const a = await ask("api", { method: "POST", headers, body });
    if (!a.response.ok) return result("Not written: " + why(a) + ".", "bad");
    result(key + " is written.", "good");
    byId("look").elements.key.value = key;
    await lookUp(key);
    guard();
  } catch {
    result("The node does not answer: it may be written, or not.", "bad");
  }
}

byId("look").addEventListener("submit", (e) => {
  e.preventDefault();
  lookUp(e.target.elements.key.value);
});
byId("write").addEventListener("submit", (e) => {
  e.preventDefault();
  write(e.target.elements);
});
byId("write").elements.key.addEventListener("input", guard);
