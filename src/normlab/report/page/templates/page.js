"use strict";
// Sorts tables, filters and opens runs, and zooms figures. Texts of runs reach the page through textContent alone.
(() => {
  const make = (tag, properties = {}, ...children) => {
    const element = Object.assign(document.createElement(tag), properties);
    element.append(...children);
    return element;
  };
  const inWords = new Intl.Collator("en", { numeric: true });

  // Sorting: rows without a value come last either way, and equal rows keep their order.
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
      if (!numeric) return sign * inWords.compare(a.text, b.text);
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

  function copyButton(pre) {
    const button = make("button", { type: "button", className: "plain" }, "Copy the command");
    const said = make("span");
    said.setAttribute("role", "status");
    button.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(pre.textContent);
        said.textContent = " Copied.";
      } catch {
        getSelection().selectAllChildren(pre); // browsers that keep pages from disk off the clipboard
        said.textContent = " Selected: copy it with the keyboard.";
      }
    });
    return make("p", {}, button, said);
  }
  for (const pre of document.querySelectorAll("pre.command")) pre.after(copyButton(pre));

  const data = document.getElementById("details");
  if (!data) return;
  const zoom = make("dialog");
  zoom.setAttribute("aria-labelledby", "zoom-title");
  const close = make("button", { type: "button" }, "Close");
  const title = make("h2", { id: "zoom-title" });
  const shown = make("img");
  const words = make("p");
  zoom.append(make("div", {}, title, close), shown, words);
  document.body.append(zoom);
  for (const image of document.querySelectorAll("figure img")) {
    const button = make("button", { type: "button" });
    button.setAttribute("aria-label", `Enlarge: ${image.dataset.title}. ${image.alt}`);
    button.setAttribute("aria-haspopup", "dialog");
    image.replaceWith(button);
    button.append(image);
    button.addEventListener("click", () => {
      title.textContent = image.dataset.title;
      shown.src = image.src;
      shown.alt = image.alt;
      const caption = image.closest("figure").querySelector("figcaption").cloneNode(true);
      caption.querySelector(".files").remove();
      words.textContent = caption.textContent.trim();
      zoom.showModal();
      zoom.addEventListener("close", () => button.focus(), { once: true });
    });
  }
  close.addEventListener("click", () => zoom.close());
  zoom.addEventListener("click", (event) => event.target === zoom && zoom.close()); // on the backdrop

  const { lines, runs } = JSON.parse(data.textContent);
  const text = (places) => places.map((place) => lines[place]).join("\n");

  function block(title, content, run) {
    const pre = make("pre", { tabIndex: 0 }, content);
    pre.setAttribute("role", "group");
    pre.setAttribute("aria-label", `${title} of ${run}`);
    return [make("h3", {}, title), pre];
  }
  function sheet(id) {
    const run = runs[id];
    const parts = [make("p", {}, "Lies in ", make("code", {}, run.path))];
    if (run.error.length) parts.push(...block("Error", text(run.error), id));
    if (run.command) {
      const [heading, pre] = block("Command that makes it again", run.command, id);
      parts.push(heading, pre, copyButton(pre));
    }
    if (run.settings.length) {
      const pairs = run.settings.map(([key, value]) => make("div", {}, make("dt", {}, key), make("dd", {}, value)));
      parts.push(make("h3", {}, "Config, where runs differ"), make("dl", { className: "keys" }, ...pairs));
    }
    parts.push(...block("End of the log", text(run.log) || "The log is empty.", id));
    parts.push(...block("Record", text(run.record), id));
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
