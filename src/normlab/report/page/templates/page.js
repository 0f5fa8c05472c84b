"use strict";
// Sorts tables, filters and opens runs. Texts of runs are inserted only as text, never as HTML.
(() => {
  const make = (tag, properties = {}, ...children) => {
    const element = Object.assign(document.createElement(tag), properties);
    element.append(...children);
    return element;
  };
  const collator = new Intl.Collator("en", { numeric: true });

  // Rows without a value come last in either direction; equal rows keep their order.
  function sortBy(table, header) {
    const descending = header.getAttribute("aria-sort") === "ascending";
    for (const other of table.querySelectorAll("[aria-sort]")) other.removeAttribute("aria-sort");
    header.setAttribute("aria-sort", descending ? "descending" : "ascending");
    const column = Number(header.dataset.column);
    const body = table.tBodies[0];
    const keyed = [...body.rows].filter((row) => !row.classList.contains("detail")).map((row) => {
      const cell = row.cells[column];
      return { row, detail: row.detail, number: cell.dataset.value, text: cell.textContent };
    });
    const numeric = keyed.some((item) => item.number !== undefined);
    const sign = descending ? -1 : 1;
    keyed.sort((a, b) => {
      if (!numeric) return sign * collator.compare(a.text, b.text);
      if (a.number === undefined || b.number === undefined) return (a.number === undefined) - (b.number === undefined);
      return sign * (Number(a.number) - Number(b.number)) || 0;
    });
    body.append(...keyed.flatMap(({ row, detail }) => (detail ? [row, detail] : [row])));
  }
  for (const table of document.querySelectorAll("table.sortable")) {
    for (const header of table.querySelectorAll("thead [data-column]")) {
      const button = make("button", { type: "button" }, ...header.childNodes);
      button.addEventListener("click", () => sortBy(table, header));
      header.append(button);
    }
  }

  const data = document.getElementById("details");
  if (!data) return;
  const runs = JSON.parse(data.textContent);

  function block(title, content, run) {
    const pre = make("pre", { tabIndex: 0 }, content);
    pre.setAttribute("role", "group");
    pre.setAttribute("aria-label", `${title} of ${run}`);
    return [make("h3", {}, title), pre];
  }
  function sheet(id) {
    const run = runs[id];
    const parts = [make("p", {}, "Directory: ", make("code", {}, run.path))];
    if (run.error) parts.push(...block("Error", run.error, id));
    parts.push(...block("Command to train it again", run.command, id));
    if (run.settings.length) {
      const pairs = run.settings.map(([key, value]) => make("div", {}, make("dt", {}, key), make("dd", {}, value)));
      parts.push(make("h3", {}, "Config keys that differ between runs"), make("dl", { className: "keys" }, ...pairs));
    }
    const links = Object.entries(run.files).flatMap(([name, href]) => [make("a", { href }, name), " "]);
    parts.push(make("p", { className: "files" }, ...links));
    return make("div", { className: "sheet" }, ...parts);
  }
  const all = document.getElementById("all");
  const rows = [...all.tBodies[0].rows];
  rows.forEach((row, place) => {
    const heading = row.cells[0];
    const button = make("button", { type: "button" }, ...heading.childNodes);
    button.setAttribute("aria-expanded", "false");
    heading.append(button);
    button.addEventListener("click", () => {
      if (!row.detail) {
        const cell = make("td", { colSpan: row.cells.length }, sheet(row.dataset.run));
        row.detail = make("tr", { className: "detail", id: `detail-${place}`, hidden: true }, cell);
        row.after(row.detail);
        button.setAttribute("aria-controls", row.detail.id);
      }
      row.detail.hidden = !row.detail.hidden;
      button.setAttribute("aria-expanded", String(!row.detail.hidden));
    });
  });

  const input = document.getElementById("words");
  const found = document.getElementById("found");
  const searched = rows.map((row) => [...row.cells].map((cell) => cell.textContent).join(" ").toLowerCase());
  function filter() {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    rows.forEach((row, place) => {
      const fits = words.every((word) => searched[place].includes(word));
      row.hidden = !fits;
      if (row.detail) row.detail.hidden = !fits || row.cells[0].firstChild.getAttribute("aria-expanded") !== "true";
      count += fits;
    });
    found.textContent = `${count} of ${rows.length} runs`;
  }
  input.addEventListener("input", filter);
  document.getElementById("filter").hidden = false;
  filter();
})();
