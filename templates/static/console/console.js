// The console's own behaviour. Everything works without it except copying, ticking all, and the pictures' width.
"use strict";

(() => {
  const DESKTOP = 1280, PHONE = 390; // CSS pixels of the pages inside the pictures

  const sizes = new ResizeObserver((entries) => entries.forEach((entry) => scale(entry.target)));

  function scale(shot) {
    const inner = shot.closest("[data-gallery]")?.dataset.width === "phone" ? PHONE : DESKTOP;
    shot.style.setProperty("--inner", `${inner}px`);
    shot.style.setProperty("--scale", shot.clientWidth / inner);
    shot.style.setProperty("--height", `${Math.ceil(shot.clientHeight / (shot.clientWidth / inner))}px`);
  }

  function watch(root) {
    root.querySelectorAll(".gh-shot").forEach((shot) => sizes.observe(shot));
    root.querySelectorAll("[data-limit]").forEach(count);
  }

  function choose(width) {
    document.querySelectorAll("[data-gallery]").forEach((gallery) => {
      gallery.dataset.width = width;
      gallery.querySelectorAll(".gh-shot").forEach(scale);
    });
    document.querySelectorAll("[data-width][aria-pressed]").forEach((button) => {
      button.setAttribute("aria-pressed", String(button.dataset.width === width));
    });
  }

  function count(field) {
    const box = field.closest(".gh-field");
    let left = box.querySelector(".gh-left");
    if (!left) {
      left = document.createElement("span");
      left.className = "gh-left";
      left.setAttribute("aria-live", "polite");
      box.append(left);
    }
    const rest = Number(field.dataset.limit) - Array.from(field.value.trim()).length;
    left.textContent = rest < 0 ? `${-rest} too many` : `${rest} left`;
    left.classList.toggle("gh-bad", rest < 0);
  }

  function ticked() {
    const boxes = [...document.querySelectorAll("[data-tick]")];
    const number = boxes.filter((box) => box.checked).length;
    document.querySelectorAll("[data-ticked]").forEach((place) => {
      place.textContent = number === 0 ? "Nothing ticked" : `${number} ticked`;
    });
    document.querySelectorAll("[data-needs-ticked]").forEach((button) => { button.disabled = number === 0; });
    document.querySelectorAll("[data-tick-all]").forEach((all) => {
      all.checked = number > 0 && number === boxes.length;
      all.indeterminate = number > 0 && number < boxes.length;
    });
  }

  async function copy(button) {
    try {
      await navigator.clipboard.writeText(button.dataset.copy);
      const before = button.textContent;
      button.textContent = "Copied";
      setTimeout(() => { button.textContent = before; }, 1500);
    } catch {
      window.prompt("Copy this:", button.dataset.copy); // without TLS browsers offer no clipboard
    }
  }

  document.addEventListener("click", (event) => {
    const width = event.target.closest("[data-width][aria-pressed]");
    if (width) choose(width.dataset.width);
    const copied = event.target.closest("[data-copy]");
    if (copied) copy(copied);
    event.target.closest("[data-select]")?.select();
  });

  document.addEventListener("change", (event) => {
    if (event.target.matches("[data-tick-all]")) {
      document.querySelectorAll("[data-tick]").forEach((box) => { box.checked = event.target.checked; });
    }
    if (event.target.matches("[data-tick], [data-tick-all]")) ticked();
  });

  // What was said of a field is over once it is changed; whether it is right now is said when it is sent again.
  function mended(field) {
    const box = field.closest(".gh-wrong");
    if (!box) return;
    box.classList.remove("gh-wrong");
    box.querySelectorAll(".gh-error").forEach((fault) => fault.remove());
    field.removeAttribute("aria-invalid");
    const rest = document.querySelectorAll(".gh-wrong").length;
    document.querySelectorAll("[data-to-mend]").forEach((told) => {
      told.textContent = rest === 1 ? "1 place to mend" : `${rest} places to mend`;
      const alert = told.closest("[role=alert]");
      if (rest === 0 && !alert.querySelector(".errorlist")) alert.remove(); // what is of no field stays
    });
  }

  document.addEventListener("input", (event) => {
    mended(event.target);
    if (event.target.matches("[data-limit]")) count(event.target);
    const form = event.target.closest("[data-warn]");
    if (form) form.dataset.changed = "yes";
  });

  document.addEventListener("submit", (event) => {
    delete event.target.dataset.changed;
    const chosen = event.target.querySelector("input[data-name]:checked");
    const question = event.target.dataset.confirm?.replace("{}", () => chosen?.dataset.name ?? "");
    if (question && !window.confirm(question)) event.preventDefault();
  });

  window.addEventListener("beforeunload", (event) => {
    if (document.querySelector("[data-warn][data-changed]")) event.preventDefault();
  });

  // Unfold folds the menu up to 1280 pixels, a usual width of a screen, though it makes room for it from 1280 on.
  document.addEventListener("alpine:init", () => {
    const theme = window.theme;
    if (!theme) return;
    const isOpen = () => window.innerWidth >= 1280 && localStorage.getItem("sidebarOpen") !== "0";
    window.theme = (...chosen) => {
      const made = theme(...chosen);
      made.sidebarOpen = isOpen();
      made.themeBindings["x-resize.window"] = function fit() { this.sidebarOpen = isOpen(); };
      return made;
    };
  });

  // What an address leads to is not left folded.
  function unfold() {
    const place = location.hash && document.getElementById(location.hash.slice(1));
    const folded = place && place.querySelector("details.gh-more");
    if (folded) folded.open = true;
  }

  // Unfold's own lists and forms say neither where their header ends nor where the work begins.
  function landmarks() {
    if (document.querySelector("main")) return;
    document.getElementById("content")?.setAttribute("role", "main");
    document.querySelector("#main > :first-child")?.setAttribute("role", "banner");
    const named = {
      "Messages": document.querySelector("#main > .px-4:not(:has(#content)):not(:first-child)"),
      "What to do with it": document.getElementById("submit-row"),
    };
    Object.entries(named).forEach(([name, part]) => {
      part?.setAttribute("role", "region");
      part?.setAttribute("aria-label", name);
    });
    document.querySelectorAll("th:empty, th:not(:has(*))").forEach((head) => {
      if (head.textContent.trim()) return;
      head.innerHTML = '<span class="gh-hidden">What to do</span>';
    });
  }

  window.addEventListener("hashchange", unfold);
  document.addEventListener("htmx:afterSettle", () => { watch(document); ticked(); });
  document.addEventListener("DOMContentLoaded", () => {
    // Its 20 ms are for animated classes, which nothing here uses; in them a key or a click on new parts would be lost.
    window.htmx.config.defaultSettleDelay = 0;
    const width = window.matchMedia("(max-width: 640px)").matches ? "phone" : "desktop";
    choose(width);
    watch(document);
    ticked();
    unfold();
    landmarks();
  });
})();
