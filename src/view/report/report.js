"use strict";
// Narrows the list of failures. It knows nothing of the run: it reads the rows that are there, once,
// and then only hides and shows them.
(() => {
  const form = document.querySelector("form.filter");
  const body = document.querySelector("table.failures tbody");
  if (!form || !body) return;
  const rows = Array.from(body.rows, (row) => {
    const word = (of) => row.querySelector(of).textContent;
    const text = Array.from(row.cells, (cell) => cell.textContent).join("\n");
    return { row, status: word("b"), class: word("i"), text: text.toLowerCase(), shown: true };
  });
  const told = form.querySelector("output");
  const count = (number) => number.toLocaleString("en");
  const narrow = () => {
    const text = form.elements.text.value.trim().toLowerCase();
    const status = form.elements.status.value;
    const wanted = form.elements.class.value;
    let shown = 0;
    for (const one of rows) {
      const fits =
        (!status || one.status === status) && (!wanted || one.class === wanted) && one.text.includes(text);
      if (fits) shown += 1;
      if (fits !== one.shown) {
        one.shown = fits;
        one.row.hidden = !fits;
      }
    }
    told.textContent = count(shown) + " of " + count(rows.length) + " shown";
  };
  // One change of the page per pause in typing, however many rows there are.
  let waiting = 0;
  form.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(narrow, 120);
  });
  form.addEventListener("reset", () => setTimeout(narrow, 0));
  form.addEventListener("submit", (event) => event.preventDefault());
  form.hidden = false;
  narrow();
})();
