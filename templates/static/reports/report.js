// Adds three comforts to a report that is complete without them: tables sort by a click on a header, the page keeps
// itself up to date while it is open, and charts over time can be looked at closely (closeup.js).
"use strict";

(() => {
  const main = document.getElementById("report");
  const GIVEN = -1; // not a column: the order in which the server sent the rows, today's page first
  const order = new Map(); // table's id → {column, direction}, so that an update keeps what was chosen
  const served = new Map(); // part's id → its markup as the server last sent it, before we touched it

  const valueOf = (row, column, kind) => {
    const cell = row.cells[column];
    if (kind === "text") return cell.textContent.trim().toLowerCase();
    const number = Number.parseFloat(cell.dataset.value);
    return Number.isNaN(number) ? -Infinity : number;
  };

  const sort = (table, column, direction) => {
    const head = table.tHead.rows[0].cells;
    const sign = direction === "ascending" ? 1 : -1;
    const of = (row) => (column === GIVEN ? Number(row.dataset.place) : valueOf(row, column, head[column].dataset.sort));
    const rows = [...table.tBodies[0].rows].map((row) => [of(row), row]);
    rows.sort(([a], [b]) => (a < b ? -sign : a > b ? sign : 0));
    table.tBodies[0].append(...rows.map(([, row]) => row));
    for (const cell of head) cell.removeAttribute("aria-sort");
    head[column]?.setAttribute("aria-sort", direction);
    const select = table.parentElement.querySelector(".sorting select");
    if (select) select.value = String(column);
  };

  const choose = (table, column, direction) => {
    order.set(table.id, { column, direction });
    sort(table, column, direction);
  };

  const addSelect = (table) => {
    const label = document.createElement("label");
    label.className = "sorting";
    label.append("Sort by");
    const select = document.createElement("select");
    select.add(new Option("Today's page, then best first", String(GIVEN)));
    [...table.tHead.rows[0].cells].forEach((cell, column) => {
      select.add(new Option(cell.textContent.trim().replaceAll("\u00ad", ""), String(column)));
    });
    select.addEventListener("change", () => {
      const column = Number(select.value);
      choose(table, column, column <= 0 ? "ascending" : "descending");
    });
    label.append(select);
    table.before(label);
  };

  const makeSortable = (table) => {
    const head = table.tHead.rows[0].cells;
    [...head].forEach((cell, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...cell.childNodes);
      cell.append(button);
      button.addEventListener("click", () => {
        const first = cell.dataset.sort === "text" ? "ascending" : "descending";
        const other = first === "ascending" ? "descending" : "ascending";
        choose(table, column, cell.getAttribute("aria-sort") === first ? other : first);
      });
    });
    [...table.tBodies[0].rows].forEach((row, place) => {
      row.dataset.place = place;
    });
    if (table.tBodies[0].rows.length > 1) addSelect(table);
    const chosen = order.get(table.id);
    if (chosen) sort(table, chosen.column, chosen.direction);
  };

  const prepare = (part) => {
    part.querySelectorAll("table.arms").forEach(makeSortable);
    window.closeups.offer(part);
  };

  // What a reader did to the part: which folds are open, where the focus is, how far boxes are scrolled.
  const stateOf = (part) => ({
    open: [...part.querySelectorAll("details[open]")].map((fold) => fold.id),
    unfolded: [...part.querySelectorAll(".show-all:checked")].map((box) => box.id),
    scrolled: [...part.querySelectorAll(".scroll")].map((box) => [box.scrollLeft, box.scrollTop]),
    focus: [...part.querySelectorAll("button, select, summary, .scroll, .show-all")].indexOf(document.activeElement),
  });

  const restore = (part, state) => {
    for (const id of state.open) document.getElementById(id)?.setAttribute("open", "");
    for (const id of state.unfolded) {
      const box = document.getElementById(id);
      if (box) box.checked = true;
    }
    part.querySelectorAll(".scroll").forEach((box, place) => {
      [box.scrollLeft, box.scrollTop] = state.scrolled[place] ?? [0, 0];
    });
    if (state.focus >= 0) {
      part.querySelectorAll("button, select, summary, .scroll, .show-all")[state.focus]?.focus({ preventScroll: true });
    }
  };

  const update = (part, fresh) => {
    const markup = fresh.innerHTML;
    if (served.get(part.id) === markup && part.className === fresh.className) return;
    served.set(part.id, markup);
    const state = stateOf(part);
    const top = part.getBoundingClientRect();
    part.className = fresh.className;
    part.replaceChildren(...document.importNode(fresh, true).childNodes);
    prepare(part);
    restore(part, state);
    // What grew above the reader's eyes must not push the line they read out of place.
    if (top.bottom <= 0) window.scrollBy(0, part.getBoundingClientRect().bottom - top.bottom);
  };

  const isBusy = () => document.hidden || document.activeElement?.tagName === "SELECT";
  let etag = ""; // of what is shown: an unchanged report is not even computed

  const refresh = async () => {
    if (isBusy()) return true;
    const headers = etag ? { "If-None-Match": etag } : {};
    const answer = await fetch(window.location.href, { credentials: "same-origin", cache: "no-store", headers });
    if (answer.status === 304) return true;
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    const freshMain = fresh.getElementById("report");
    if (!answer.ok || !freshMain) return false; // the link was taken back, or the login has ended
    if (freshMain.querySelectorAll("[data-live]").length !== main.querySelectorAll("[data-live]").length) {
      window.location.reload(); // the page has new parts, such as its first arms
      return false;
    }
    main.dataset.refreshSeconds = freshMain.dataset.refreshSeconds;
    for (const part of document.querySelectorAll("[data-live]")) update(part, fresh.getElementById(part.id));
    etag = answer.headers.get("ETag") ?? "";
    return true;
  };

  const keepFresh = () => {
    window.setTimeout(async () => {
      let goesOn = true;
      try {
        goesOn = await refresh();
      } catch (error) {
        if (!(error instanceof TypeError)) throw error; // no network just now: the next round may have it
      }
      if (goesOn) keepFresh();
    }, Number(main.dataset.refreshSeconds) * 1000);
  };

  for (const part of document.querySelectorAll("[data-live]")) served.set(part.id, part.innerHTML);
  prepare(document);
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) refresh().catch(() => undefined);
  });
  keepFresh();
})();
