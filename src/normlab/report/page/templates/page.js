"use strict";
// A click on a heading sorts its table; cells without a number come last in either direction.
const collator = new Intl.Collator("en", { numeric: true });
for (const heading of document.querySelectorAll(".sortable thead th")) {
  const button = document.createElement("button");
  button.append(...heading.childNodes);
  heading.append(button);
  button.addEventListener("click", () => {
    const table = heading.closest("table");
    const descending = heading.getAttribute("aria-sort") === "ascending";
    for (const other of table.querySelectorAll("[aria-sort]")) other.removeAttribute("aria-sort");
    heading.setAttribute("aria-sort", descending ? "descending" : "ascending");
    const keyed = [...table.tBodies[0].rows].map((row) => {
      const { dataset, textContent: text } = row.cells[heading.cellIndex];
      return { row, text, number: Number(dataset.value ?? (text || NaN)) };
    });
    keyed.sort((a, b) => {
      const missing = isNaN(a.number) - isNaN(b.number);
      const order = isNaN(a.number) ? collator.compare(a.text, b.text) : a.number - b.number;
      return missing || (descending ? -order : order);
    });
    for (const cell of table.querySelectorAll(".again")) cell.removeAttribute("class");
    table.tBodies[0].append(...keyed.map(({ row }) => row));
  });
}
