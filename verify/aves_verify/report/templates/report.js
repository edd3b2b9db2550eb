"use strict";
(() => {
  const table = document.getElementById("every");
  const body = table.tBodies[0];
  const rows = [...body.rows];
  const headings = [...table.tHead.rows[0].cells];

  // The value that a cell is sorted by; null where it has none: those come last in either direction.
  const value = (row, column, kind) => {
    const cell = row.cells[column];
    if (kind === "text") return cell.textContent;
    const text = cell.dataset.v;
    return text === "" ? null : Number(text.replace("inf", "Infinity"));
  };

  const sort = (column) => {
    const heading = headings[column];
    const kind = heading.dataset.kind;
    const first = kind === "text" ? "ascending" : "descending"; // of numbers, the largest are of interest
    const second = kind === "text" ? "descending" : "ascending";
    const order = heading.getAttribute("aria-sort") === first ? second : first;
    for (const other of headings) other.setAttribute("aria-sort", other === heading ? order : "none");
    const sign = order === "ascending" ? 1 : -1;
    const compare = (a, b) => (kind === "text" ? a.localeCompare(b, "en", { numeric: true }) : a - b);
    const keyed = rows.map((row) => [value(row, column, kind), row]);
    keyed.sort(([a], [b]) => {
      if (a === null || b === null) return (a === null) - (b === null);
      return a === b ? 0 : sign * compare(a, b);
    });
    body.append(...keyed.map(([, row]) => row));
  };

  headings.forEach((heading, column) => {
    heading.firstElementChild.addEventListener("click", () => sort(column));
  });

  const text = document.getElementById("filter-text");
  const status = document.getElementById("filter-status");
  const shown = document.getElementById("shown");

  const filter = () => {
    const words = text.value.toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    for (const row of rows) {
      const content = row.textContent.toLowerCase();
      const kept = (!status.value || row.dataset.status === status.value) && words.every((word) => content.includes(word));
      row.hidden = !kept;
      count += kept;
    }
    shown.textContent = `${count} of ${rows.length} shown`;
  };

  text.addEventListener("input", filter);
  status.addEventListener("change", filter);
  text.form.addEventListener("submit", (event) => event.preventDefault());
  text.form.hidden = false;
  sort(0);
  filter();
})();
