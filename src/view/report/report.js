"use strict";
// Narrows the list of failures, and shows no more of it at once than a browser and its reader can
// take. It knows nothing of the run: it reads the rows that are there, and then only hides and shows
// them. Without it all of them show.
document.documentElement.className = "scripted";
document.addEventListener("DOMContentLoaded", () => {
  const form = document.querySelector("form.filter");
  const table = document.querySelector("table.failures");
  if (!form || !table) return;
  const more = document.querySelector(".more");
  const step = Number(table.dataset.step);
  const count = (number) => number.toLocaleString("en");
  const read = (row) => {
    const word = (of) => row.querySelector(of).textContent;
    const state = row.className ? "later" : "now";
    return { row, status: word("b"), class: word("i"), text: row.textContent.toLowerCase(), state };
  };
  // Read when something is first asked: opening the page does not wait for it.
  let rows = null;
  let limit = step;
  const all = table.tBodies[0].rows.length;
  const tell = (fitting) => {
    const shown = Math.min(fitting, limit);
    form.querySelector("output").textContent =
      count(shown) + " shown; " + count(fitting) + " of " + count(all) + " fit";
    more.hidden = fitting <= limit;
  };
  const narrow = () => {
    rows ??= Array.from(table.tBodies[0].rows, read);
    const text = form.elements.text.value.trim().toLowerCase();
    const status = form.elements.status.value;
    const wanted = form.elements.class.value;
    let fitting = 0;
    for (const one of rows) {
      const fits =
        (!status || one.status === status) && (!wanted || one.class === wanted) && one.text.includes(text);
      if (fits) fitting += 1;
      const state = !fits ? "out" : fitting > limit ? "later" : "now";
      if (state === one.state) continue;
      one.state = state;
      one.row.hidden = state === "out";
      one.row.className = state === "later" ? "later" : "";
    }
    tell(fitting);
  };
  // One change of the page per pause in typing, however many rows there are.
  let waiting = 0;
  form.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => {
      limit = step;
      narrow();
    }, 120);
  });
  form.addEventListener("reset", () =>
    setTimeout(() => {
      limit = step;
      narrow();
    }, 0),
  );
  form.addEventListener("submit", (event) => event.preventDefault());
  more.addEventListener("click", (event) => {
    limit = event.target.name === "all" ? Infinity : limit + step;
    narrow();
  });
  form.hidden = false;
  tell(all);
});
