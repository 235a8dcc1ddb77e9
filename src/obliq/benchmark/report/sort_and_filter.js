// Tables are complete without this script: it adds buttons that sort by a column, and a field that hides rows by name.
const number = (cell) => parseFloat(cell.textContent.replace(/\u2212/g, "-").replace(/\u00a0/g, ""));
for (const table of document.querySelectorAll("table")) {
  const body = table.tBodies[0];
  [...table.tHead.rows[0].cells].forEach((head, place) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(head.firstChild);
    head.prepend(button);
    button.onclick = () => {
      const sign = head.ariaSort === "ascending" ? -1 : 1;
      for (const other of head.parentNode.cells) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", sign > 0 ? "ascending" : "descending");
      const rows = [...body.rows].filter((row) => row.className !== "reference");
      rows.sort((one, two) => {
        const [a, b] = [one.cells[place], two.cells[place]];
        if (place === 0) return sign * a.textContent.localeCompare(b.textContent);
        const [x, y] = [number(a), number(b)];
        return isNaN(x) || isNaN(y) ? isNaN(x) - isNaN(y) : sign * (x - y); // what was not measured comes last
      });
      body.append(...rows);
    };
  });
}
const label = document.createElement("label");
label.className = "filter";
label.textContent = "Show methods whose name contains ";
const field = document.createElement("input");
field.type = "search";
label.append(field);
document.querySelector("main > .scroll").before(label);
field.oninput = () => {
  for (const row of document.querySelectorAll("tbody tr:not(.reference)"))
    row.hidden = !row.cells[0].textContent.toLowerCase().includes(field.value.toLowerCase());
};
