// Dynamic forms (bc_dynamic_js): data-hide-*, data-option-for-*, data-min-*, data-max-* and data-set-* of
// selects, and data-hide-*-when-checked / -when-un-checked of check boxes.
"use strict";

const PREFIX = "batch_connect_session_context_";
const field = (name) => document.getElementById(PREFIX + name.replaceAll("-", "_"));
const wrapper = (name) => document.getElementById(PREFIX + name.replaceAll("-", "_") + "_wrapper");

function show(name, visible) {
  const item = wrapper(name);
  if (item) item.style.display = visible ? "" : "none";
}

function directives(element, pattern) {
  return [...element.attributes].map(({ name, value }) => [name.match(pattern), value]).filter(([match]) => match);
}

function hideFor(select) {
  const names = new Set();
  for (const option of select.options) for (const [match] of directives(option, /^data-hide-(.+)$/)) names.add(match[1]);
  const chosen = select.selectedOptions[0];
  for (const name of names) show(name, chosen?.getAttribute("data-hide-" + name) !== "true");
}

function boundsFor(select) {
  const chosen = select.selectedOptions[0];
  if (!chosen) return;
  for (const bound of ["min", "max"]) {
    for (const [match, value] of directives(chosen, new RegExp("^data-" + bound + "-(.+)$"))) {
      const target = field(match[1]);
      if (!target) continue;
      target[bound] = value;
      const number = Number(target.value);
      if (bound === "min" ? number < Number(value) : number > Number(value)) target.value = value;
    }
  }
  for (const [match, value] of directives(chosen, /^data-set-(.+)$/)) {
    const target = field(match[1]);
    if (target) target.type === "checkbox" ? (target.checked = target.value === value) : (target.value = value);
  }
}

function optionsFor(source) {
  const suffix = source.id.slice(PREFIX.length).replaceAll("_", "-") + "-" + source.value.toLowerCase();
  for (const select of document.querySelectorAll("form select")) {
    for (const option of select.options) {
      if (!directives(option, new RegExp("^data-option-for-" + source.id.slice(PREFIX.length).replaceAll("_", "-") + "-")).length) continue;
      const off = option.getAttribute("data-option-for-" + suffix) === "false";
      option.hidden = option.disabled = off;
    }
    if (select.selectedOptions[0]?.disabled) select.value = [...select.options].find((option) => !option.disabled)?.value;
  }
}

function hideForBox(box) {
  for (const [match] of directives(box, /^data-hide-(.+)-when-checked$/)) show(match[1], !box.checked);
  for (const [match] of directives(box, /^data-hide-(.+)-when-un-checked$/)) show(match[1], box.checked);
}

for (const select of document.querySelectorAll("form select")) {
  const react = () => { hideFor(select); boundsFor(select); optionsFor(select); };
  select.addEventListener("change", react);
  react();
}
for (const box of document.querySelectorAll("form input[type=checkbox]")) {
  box.addEventListener("change", () => hideForBox(box));
  hideForBox(box);
}
