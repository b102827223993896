"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const hidden = new Set();

function shown(values) { return values === null || values === undefined ? "–" : values.toFixed(Math.abs(values) < 100 ? 4 : 1); }

function cell(row, text) { const made = row.insertCell(); made.textContent = text; return made; }

for (const chart of document.querySelectorAll("svg.chart")) {
  const held = data[chart.id], plot = chart.parentElement, cursor = chart.querySelector(".cursor");
  if (!held) continue;
  const many = held.offsets.length - 1, left = +chart.dataset.left, right = +chart.dataset.right;
  const tip = document.createElement("div");
  let at = -1;
  tip.className = "tip off";
  tip.setAttribute("role", "status");
  plot.append(tip);
  chart.setAttribute("tabindex", "0");

  function point(bin) {
    at = Math.max(0, Math.min(many - 1, bin));
    const x = left + (right - left) * (at + 0.5) / many;
    cursor.setAttribute("x1", x);
    cursor.setAttribute("x2", x);
    tip.replaceChildren();
    const head = document.createElement("div");
    const time = held.times[at] ? "  " + held.times[at] : "";
    head.textContent = held.offsets[at].toLocaleString("en") + " – " + (held.offsets[at + 1] - 1).toLocaleString("en") + time;
    const table = document.createElement("table");
    for (const one of held.series) {
      if (hidden.has(one.run)) continue;
      const row = table.insertRow();
      cell(row, "").append(document.querySelector(`svg[data-key="${one.run}"]`).cloneNode(true), one.title);
      cell(row, shown(one.values[at])).className = "number";
    }
    tip.append(head, table);
    tip.classList.remove("off");
    const scale = chart.getBoundingClientRect().width / chart.viewBox.baseVal.width;
    const place = x * scale + 14, beyond = place + tip.offsetWidth > plot.scrollLeft + plot.clientWidth;
    tip.style.left = (beyond ? Math.max(0, x * scale - tip.offsetWidth - 14) : place) + "px";
  }

  function leave() { at = -1; tip.classList.add("off"); cursor.setAttribute("x1", -9); cursor.setAttribute("x2", -9); }

  chart.addEventListener("pointermove", (event) => {
    const box = chart.getBoundingClientRect();
    const x = (event.clientX - box.left) * chart.viewBox.baseVal.width / box.width;
    x < left || x > right ? leave() : point(Math.floor((x - left) / (right - left) * many));
  });
  chart.addEventListener("pointerleave", leave);
  chart.addEventListener("blur", leave);
  chart.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1, PageUp: -20, PageDown: 20, Home: -many, End: many }[event.key];
    if (!step) return;
    event.preventDefault();
    point(at < 0 ? (step < 0 ? many - 1 : 0) : at + step);
  });
}

for (const box of document.querySelectorAll("input[data-toggles]")) {
  box.disabled = false;
  box.addEventListener("change", () => {
    const run = +box.dataset.toggles;
    box.checked ? hidden.delete(run) : hidden.add(run);
    for (const other of document.querySelectorAll(`input[data-toggles="${run}"]`)) other.checked = box.checked;
    for (const part of document.querySelectorAll(`[data-run="${run}"]`)) part.classList.toggle("off", !box.checked);
  });
}

window.addEventListener("beforeprint", () => { for (const one of document.querySelectorAll("details")) one.open = true; });
