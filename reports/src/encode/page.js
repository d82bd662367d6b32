"use strict";
for (const table of document.querySelectorAll("table.data")) {
  const body = table.tBodies[0];
  const rows = Array.from(body.rows);
  const frame = table.closest(".scroll");
  // The number that a cell begins with: its sign may be a true minus.
  const number = (text) => {
    const found = text.replace(/\u2212/g, "-").match(/^\s*[<>~]?\s*([-+]?\d[\d.]*(?:e[-+]?\d+)?)/i);
    return found ? parseFloat(found[1]) : NaN;
  };
  const cell = (row, column) => (row.cells[column] ? row.cells[column].textContent : "");
  const sort = (header) => {
    const column = header.cellIndex;
    const falling = header.getAttribute("aria-sort") === "ascending";
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    header.setAttribute("aria-sort", falling ? "descending" : "ascending");
    const numbers = header.classList.contains("number");
    const order = rows.slice().sort((one, other) => {
      const a = cell(one, column), b = cell(other, column);
      const x = numbers ? number(a) : NaN, y = numbers ? number(b) : NaN;
      // What is no number stays at the end, whichever way the rest is sorted.
      if (numbers && (isNaN(x) || isNaN(y))) return isNaN(x) - isNaN(y);
      const by = numbers ? x - y : a.localeCompare(b, "en", { numeric: true });
      return falling ? -by : by;
    });
    body.append(...order);
  };
  for (const header of table.tHead.rows[0].cells) {
    header.tabIndex = 0;
    header.title = "Sort";
    header.addEventListener("click", () => sort(header));
    header.addEventListener("keydown", (event) => {
      if (event.key === "Enter" || event.key === " ") { event.preventDefault(); sort(header); }
    });
  }
  if (rows.length < 4) continue;
  const filter = document.createElement("input");
  filter.className = "filter";
  filter.type = "search";
  filter.placeholder = "Filter rows: words, all of which must occur";
  filter.setAttribute("aria-label", "Filter rows");
  const count = document.createElement("span");
  count.className = "count";
  const texts = rows.map((row) => row.textContent.toLowerCase());
  const show = () => {
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    rows.forEach((row, i) => { row.hidden = !words.every((word) => texts[i].includes(word)); shown += !row.hidden; });
    count.textContent = words.length ? shown + " of " + rows.length + " rows" : rows.length + " rows";
  };
  filter.addEventListener("input", show);
  frame.before(filter, count);
  show();
}
// A click on an entry of a legend hides its series in that drawing, and shows it again.
for (const figure of document.querySelectorAll("figure")) {
  for (const key of figure.querySelectorAll("g.key")) {
    const series = key.getAttribute("data-series");
    const parts = Array.from(figure.querySelectorAll("g[data-series]:not(.key)"))
      .filter((part) => part.getAttribute("data-series") === series);
    if (!parts.length) continue;
    const entries = Array.from(figure.querySelectorAll("g.key"))
      .filter((entry) => entry.getAttribute("data-series") === series);
    key.setAttribute("tabindex", "0");
    key.setAttribute("role", "button");
    const toggle = () => {
      const hidden = !key.classList.contains("off");
      for (const part of parts) part.style.display = hidden ? "none" : "";
      for (const entry of entries) entry.classList.toggle("off", hidden);
    };
    key.addEventListener("click", toggle);
    key.addEventListener("keydown", (event) => {
      if (event.key === "Enter" || event.key === " ") { event.preventDefault(); toggle(); }
    });
  }
}
