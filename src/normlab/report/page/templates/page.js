"use strict";
// Sorts tables and filters runs.
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
    const keyed = [...body.rows].map((row) => {
      const cell = row.cells[column];
      return { row, number: cell.dataset.value, text: cell.textContent };
    });
    const numeric = keyed.some((item) => item.number !== undefined);
    const sign = descending ? -1 : 1;
    keyed.sort((a, b) => {
      if (!numeric) return sign * collator.compare(a.text, b.text);
      if (a.number === undefined || b.number === undefined) return (a.number === undefined) - (b.number === undefined);
      return sign * (Number(a.number) - Number(b.number)) || 0;
    });
    body.append(...keyed.map(({ row }) => row));
  }
  for (const table of document.querySelectorAll("table.sortable")) {
    for (const header of table.querySelectorAll("thead [data-column]")) {
      const button = make("button", { type: "button" }, ...header.childNodes);
      button.addEventListener("click", () => sortBy(table, header));
      header.append(button);
    }
  }

  const all = document.getElementById("all");
  if (!all) return;
  const rows = [...all.tBodies[0].rows];
  const input = document.getElementById("words");
  const found = document.getElementById("found");
  const searched = rows.map((row) => [...row.cells].map((cell) => cell.textContent).join(" ").toLowerCase());
  function filter() {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    rows.forEach((row, place) => {
      const fits = words.every((word) => searched[place].includes(word));
      row.hidden = !fits;
      count += fits;
    });
    found.textContent = `${count} of ${rows.length} runs`;
  }
  input.addEventListener("input", filter);
  document.getElementById("filter").hidden = false;
  filter();
})();
