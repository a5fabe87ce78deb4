// The dashboard's own scripts: the poll of the session cards, and the path selector's dialog.
"use strict";

const sessions = document.getElementById("sessions");

// Scripts in a card run at page load and again at every poll, as on the dashboard.
function runScripts(element) {
  for (const old of element.querySelectorAll("script")) {
    const fresh = document.createElement("script");
    for (const { name, value } of old.attributes) fresh.setAttribute(name, value);
    fresh.textContent = old.textContent;
    old.replaceWith(fresh);
  }
}

// All cards are made anew: who moves by keyboard stays where they were, as on the dashboard.
function focusIn(element) {
  const card = element && element.closest("section.card");
  if (!card || !sessions.contains(card)) return () => {};
  const words = "a[href], button, summary, input:not([type=hidden])";
  const place = [...card.querySelectorAll(words)].findIndex((one) => one === element);
  return () => document.getElementById(card.id)?.querySelectorAll(words)[place]?.focus();
}

async function poll() {
  try {
    const answer = await fetch(sessions.dataset.url, { cache: "no-store" });
    if (answer.ok) {
      const text = await answer.text();
      const back = focusIn(document.activeElement);
      sessions.innerHTML = text;
      back();
      runScripts(sessions);
    }
  } catch (error) {
    console.warn("the preview does not answer", error);
  }
  schedule();
}

function schedule() {
  if (sessions.querySelector('[data-state]:not([data-state="completed"])')) setTimeout(poll, Number(sessions.dataset.poll));
}

if (sessions) setTimeout(poll, 0);

function choosePath(button) {
  const input = document.getElementById(button.dataset.pathSelector);
  const dialog = document.createElement("dialog");
  document.body.append(dialog);
  dialog.addEventListener("close", () => { dialog.remove(); button.focus(); });
  show(button.dataset.start);
  dialog.showModal();

  function pick(path) {
    input.value = path;
    input.dispatchEvent(new Event("change", { bubbles: true }));
    dialog.close();
  }

  function row(text, action) {
    const item = document.createElement("li");
    const link = document.createElement("button");
    link.type = "button";
    link.textContent = text;
    link.addEventListener("click", action);
    item.append(link);
    return item;
  }

  async function show(folder) {
    const prefix = location.pathname.split("/batch_connect/")[0];
    const answer = await fetch(prefix + "/files/fs" + encodeURI(folder), { headers: { Accept: "application/json" } });
    const { path, files } = await answer.json();
    const title = document.createElement("h2");
    title.textContent = path;
    const list = document.createElement("ul");
    list.append(row("..", () => show(path.replace(/\/[^/]*$/, "") || "/")));
    for (const file of files) {
      const full = path + "/" + file.name;
      list.append(row(file.name + (file.type === "d" ? "/" : ""), () => (file.type === "d" ? show(full) : pick(full))));
    }
    const take = row("Take this folder", () => pick(path));
    const close = row("Close", () => dialog.close());
    dialog.replaceChildren(title, list, take, close);
  }
}

for (const button of document.querySelectorAll("[data-path-selector]")) {
  button.addEventListener("click", () => choosePath(button));
}
