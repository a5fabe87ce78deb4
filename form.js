// Niceties of the form. Run in the browser: the dashboard wraps this file in a function after the form, or drops it
// where a content security policy is on. The form works without it: nothing here decides, everything is
// checked again in submit.yml.erb and on the node. It touches nothing outside the app's own fields.
"use strict";

const PREFIX = "batch_connect_session_context_";
const LONG_LIST = 15; // options from which on a search box helps
const WORDS = {
  broken: "does not start", untrusted: "not trusted", unavailable: "not available now",
  warning: "has a warning",
};
const HEADINGS = { user: "Mine", legacy: "Mine", conda: "Mine", group: "Shared with me", jupyter: "Other" };
const ADVANCED = ["kw_other", "kw_modules", "kw_installer", "kw_qos", "kw_reservation", "kw_slurm", "kw_job"];
const UNSEEN = /[\u0000-\u001f\u007f-\u009f\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff0-\uffff]/g;
const PACKAGE = /^(?:[\w./-]+::)?[A-Za-z0-9][\w.-]*(?:\[[^\]]*\])?\s*(?:(?:[=<>!~@;,*[]|\d).*)?$/;
const INSTALL = /^[!%$]?\s*(?:sudo\s+)?(?:python3?\s+-m\s+)?(?:conda|mamba|micromamba|pip3?|uv\s+pip|pixi|uv)\s+(?:install|add|create)\b/;
const LOCATION = /^(?:(?:git\+)?(?:https?|ssh|file):\/\/|git\+|\.{0,2}\/|~\/|-e\s|-r\s|-c\s|--|#)/;

const field = (id) => document.getElementById(PREFIX + id);
const wrapper = (id) => document.getElementById(PREFIX + id + "_wrapper");
const dashboard = location.pathname.split("/batch_connect/")[0];

// A line under a field that a screen reader hears when it changes.
function messageOf(id) {
  const box = wrapper(id);
  if (!box) return null;
  let line = box.querySelector(".kw-message");
  if (!line) {
    line = document.createElement("div");
    line.className = "kw-message form-text";
    line.id = PREFIX + id + "_message";
    line.setAttribute("role", "status");
    box.append(line);
    describe(field(id), line.id);
  }
  return line;
}

function say(id, text, warn) {
  const line = messageOf(id);
  if (!line || line.textContent === text) return;
  line.textContent = text;
  line.classList.toggle("text-danger", Boolean(warn));
}

function describe(element, id) {
  const known = (element.getAttribute("aria-describedby") || "").split(" ").filter(Boolean);
  if (!known.includes(id)) element.setAttribute("aria-describedby", [...known, id].join(" "));
}

// Help texts belong to their fields for a screen reader, too.
function describeAll(form) {
  for (const help of form.querySelectorAll("[id^='" + PREFIX + "'][id$='_wrapper'] > .form-text:not(.kw-message)")) {
    const input = document.getElementById(help.parentElement.id.replace(/_wrapper$/, ""));
    if (!input) continue;
    help.id = help.id || input.id + "_help";
    describe(input, help.id);
  }
}

// --- the list of kernels -----------------------------------------------------------------------

function clean(text, limit) {
  const plain = String(text == null ? "" : text).replace(UNSEEN, " ").trim();
  return plain.length > limit ? plain.slice(0, limit - 1) + "…" : plain;
}

function labelOf(kernel) {
  const words = WORDS[kernel.state] ? [WORDS[kernel.state]] : [];
  if (kernel.value.startsWith("group:")) words.push(clean(kernel.value.slice(6).split("/")[0], 80));
  const name = clean(kernel.label, 80) || clean(kernel.name, 80);
  return words.length ? name + " (" + words.join(", ") + ")" : name;
}

// The groups that the index speaks of, made new; the site's own and "Make a new one" stay as they are.
function renew(select, kernels) {
  const groups = new Map([...new Set(Object.values(HEADINGS))].map((name) => [name, []]));
  const bad = (kernel) => ["broken", "untrusted", "unavailable"].includes(kernel.state);
  const usable = kernels.filter((k) => k && typeof k.value === "string" && HEADINGS[k.value.split(":")[0]]);
  for (const kernel of [...usable.filter((k) => !bad(k)), ...usable.filter(bad)]) {
    groups.get(HEADINGS[kernel.value.split(":")[0]]).push(new Option(labelOf(kernel), kernel.value)); // text, not HTML
  }
  const chosen = select.value;
  const last = [...select.children].pop();
  for (const old of [...select.children]) if (groups.has(old.label)) old.remove();
  for (const [name, options] of groups) {
    if (!options.length) continue;
    const group = document.createElement("optgroup");
    group.label = name;
    group.append(...options);
    select.insertBefore(group, last && last.parentNode === select ? last : null);
  }
  if (has(select, chosen)) select.value = chosen;
}

const has = (select, value) => [...select.options].some((option) => option.value === value);

async function fetchIndex(select) {
  const path = select.dataset.kwIndex;
  if (!path) return null;
  const answer = await fetch(dashboard + encodeURI(path), { cache: "no-store", headers: { Accept: "*/*" } });
  if (!answer.ok || answer.redirected) return null; // a missing file is a redirect to its folder, not a 404
  const index = await answer.json();
  if (index.version !== 1 || !Array.isArray(index.kernels)) return null;
  const written = typeof index.written_at === "number" ? index.written_at : Date.parse(index.written_at) / 1000;
  return written >= Number(select.dataset.kwListed || 0) ? index : null; // else the server's list is newer
}

// What was used last, unless the form came back with answers for something new.
function chooseLast(select, last) {
  const title = field("kw_title");
  const answered = /^(new|template):/.test(select.value) && title && title.value;
  if (!answered && last && last.value && has(select, last.value)) select.value = last.value;
}

// A search box over a long list: while something is typed, the list lies open with what matches.
function addSearch(select) {
  if (select.options.length < LONG_LIST || field("kw_search")) return;
  const all = [...select.children].map((group) => [group, [...group.children]]);
  const box = document.createElement("input");
  Object.assign(box, { type: "search", id: PREFIX + "kw_search", className: "form-control", autocomplete: "off" });
  box.placeholder = "Search in " + select.options.length + " entries";
  box.setAttribute("aria-label", "Search in the list of software");
  box.setAttribute("aria-controls", select.id);
  select.before(box);

  function filter() {
    const words = box.value.toLowerCase().split(/\s+/).filter(Boolean);
    const chosen = select.value;
    const fits = (o) => words.every((word) => o.text.toLowerCase().includes(word) || o.value.toLowerCase().includes(word));
    const groups = all.map(([group, options]) => [group, options.filter((o) => fits(o) || o.value === chosen)]);
    select.replaceChildren(...groups.filter(([, o]) => o.length).map(([group, o]) => { group.replaceChildren(...o); return group; }));
    select.value = chosen;
    const found = all.reduce((sum, [, options]) => sum + options.filter(fits).length, 0);
    if (words.length) select.size = Math.max(3, Math.min(9, select.options.length + select.children.length));
    else select.removeAttribute("size");
    if (words.length) say("kw_kernel", found + " found"); else sayAbout(select);
    return all.flatMap(([, options]) => options).find(fits);
  }

  box.addEventListener("input", filter);
  box.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown") { event.preventDefault(); select.focus(); }
    if (event.key !== "Enter") return;
    event.preventDefault(); // Enter takes the first match instead of launching
    const first = filter();
    if (first && box.value) { first.parentNode || filter(); select.value = first.value; select.dispatchEvent(new Event("change", { bubbles: true })); }
  });
}

// What the site says of the chosen line, such as that its kernel runs in a job of its own.
function sayAbout(select) {
  const chosen = select.selectedOptions[0];
  say("kw_kernel", chosen ? clean(chosen.dataset.kwAbout, 600) : "");
}

// --- what counts, and what is said about it --------------------------------------------------------

function fieldsByChoice(select) {
  try { return JSON.parse(select.dataset.kwFields || "{}"); } catch (error) { return {}; }
}

function showWhatCounts(select, map) {
  const shown = new Set(map[select.value] || []);
  for (const id of new Set(Object.values(map).flat())) {
    const box = wrapper(id);
    if (box) box.hidden = !shown.has(id);
  }
  const only = field("kw_only");
  if (only && !shown.has("kw_only")) only.checked = false;
}

// A filled field counts, so it stays in sight.
function showAdvanced() {
  const more = field("kw_more");
  if (!more) return;
  for (const id of ADVANCED) {
    const box = wrapper(id);
    if (box) box.hidden = !more.checked && !field(id).value;
  }
}

// The kernel name that a display name leads to (recipe/names.py says the same).
function kernelName(title) {
  return title.slice(0, 500).normalize("NFKD").replace(/[^\x00-\x7f]/g, "").toLowerCase()
    .replace(/[^a-z0-9]+/g, "-").replace(/^-+|-+$/g, "").slice(0, 63).replace(/-+$/, "");
}

function checkTitle(select) {
  const title = field("kw_title");
  if (!title) return;
  const name = kernelName(title.value);
  if (!title.value) say("kw_title", "");
  else if (!name) say("kw_title", "It needs at least one of the letters a-z or a digit.", true);
  else if (has(select, "user:" + name)) say("kw_title", "You have “" + name + "” already: another name keeps both.", true);
  else say("kw_title", "Its short name will be “" + name + "”.");
}

function checkPackages() {
  const box = field("kw_packages");
  if (!box) return;
  const wrong = box.value.split(/\r?\n/).map((line) => line.trim()).findIndex((line) => line && !fine(line));
  say("kw_packages", wrong < 0 ? "" : "Line " + (wrong + 1) + " does not look like a package. For example: numpy", wrong >= 0);
}

function fine(line) {
  if (/`|\$\(|\$\{|&&|\|/.test(line)) return false;
  return INSTALL.test(line) || LOCATION.test(line) || PACKAGE.test(line) || line.split(/[\s,]+/).every((word) => PACKAGE.test(word));
}

async function checkFile() {
  const box = field("kw_file");
  if (!box || !box.value.startsWith("/")) return say("kw_file", "");
  const path = box.value;
  const stop = new AbortController();
  try {
    const answer = await fetch(dashboard + "/files/fs" + encodeURI(path), { cache: "no-store", signal: stop.signal, headers: { Accept: "*/*" } });
    if (box.value === path) say("kw_file", answer.ok && answer.redirected ? "There is no such file." : "", true);
  } catch (error) {
    say("kw_file", "");
  } finally {
    stop.abort(); // the headers were enough
  }
}

// "Needs a GPU partition" follows the chosen partition.
function checkPartition(select) {
  const queue = field("bc_queue") || field("auto_queues");
  const kernel = select.selectedOptions[0];
  const part = queue && queue.selectedOptions && queue.selectedOptions[0];
  if (!kernel || !part) return;
  const only = (kernel.dataset.kwPartitions || "").split(" ").filter(Boolean);
  const hours = field("bc_num_hours");
  if (hours && part.getAttribute("data-max-bc-num-hours")) hours.max = part.getAttribute("data-max-bc-num-hours");
  if (only.length && !only.includes(part.value)) say(queue.id.slice(PREFIX.length), "The chosen software runs on: " + only.join(", ") + ".", true);
  else if (kernel.dataset.kwGpu === "required" && part.dataset.kwGpus === "0") say(queue.id.slice(PREFIX.length), "The chosen software needs a partition with GPUs.", true);
  else say(queue.id.slice(PREFIX.length), "");
}

// --- start -----------------------------------------------------------------------------------------

function start(select) {
  const form = select.form;
  const last = field("kw_last");
  const map = fieldsByChoice(select);
  const react = () => { showWhatCounts(select, map); sayAbout(select); checkTitle(select); checkPartition(select); };
  const on = (id, event, action) => field(id) && field(id).addEventListener(event, action);

  describeAll(form);
  chooseLast(select, last);
  react();
  showAdvanced();
  select.addEventListener("change", () => { if (last) last.value = select.value; react(); });
  on("kw_more", "change", showAdvanced);
  on("kw_title", "input", () => checkTitle(select));
  on("kw_packages", "change", checkPackages);
  on("kw_file", "change", checkFile);
  on("bc_queue", "change", () => checkPartition(select));
  // What is made now is what the form should offer the next time.
  form.addEventListener("submit", () => {
    const title = field("kw_title");
    if (last && title && title.value && /^(new|template):/.test(select.value)) last.value = "user:" + kernelName(title.value);
  });
  fetchIndex(select)
    .then((index) => { if (index) { renew(select, index.kernels); chooseLast(select, last); react(); } })
    .catch(() => {}) // the server's list stays
    .then(() => { addSearch(select); select.dataset.kwReady = "1"; });
}

const kernels = field("kw_kernel");
if (kernels && kernels.form) start(kernels);
