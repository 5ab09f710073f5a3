// The gallery by keys, texts changed in place, and the picture in which words are chosen by clicking them.
"use strict";

(() => {
  const OFF = "greenhouse-keys-off";
  let compared = null; // the variant to compare the next with

  const cards = () => [...document.querySelectorAll("#gallery .gh-card")].filter((card) => card.offsetParent);
  const texts = () => document.getElementById("texts");
  const keys = () => document.getElementById("keys");

  // --- keys ---------------------------------------------------------------------------------------------------------

  function current() {
    return document.activeElement?.closest?.(".gh-card") || document.querySelector(".gh-card.gh-at");
  }

  function mark(card) {
    document.querySelectorAll(".gh-at").forEach((each) => each.classList.remove("gh-at"));
    card.classList.add("gh-at");
  }

  function stand(card) {
    if (!card) return;
    mark(card);
    card.focus({preventScroll: true});
    card.scrollIntoView({block: "nearest", behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth"});
  }

  let going = null; // the card that j or k leads to, until it has come into view

  function move(by) {
    const all = cards(), at = all.indexOf(current());
    going = all[at < 0 ? (by > 0 ? 0 : all.length - 1) : Math.min(all.length - 1, Math.max(0, at + by))];
    stand(going);
  }
  document.addEventListener("scrollend", () => { going = null; });

  // Which card a key means is seen before it does anything: after a page is loaded anew it may be far away.
  function isInView(card) {
    const {top, bottom} = card.getBoundingClientRect();
    return bottom > 0 && top < innerHeight;
  }

  function press(key) {
    const card = current();
    if (!card) return move(1);
    if (card !== going && !isInView(card)) return stand(card);
    stand(card);
    if (key === "x") return card.querySelector("[data-tick]")?.click();
    const control = card.querySelector(`[data-key="${key}"]`);
    if (key === "c" && control && compared && compared !== card.dataset.variant) {
      location.assign(`${control.href.split("?")[0]}?a=${compared}&b=${card.dataset.variant}`);
      return undefined;
    }
    return control?.click();
  }

  function remember() {
    const card = current();
    if (!card) return;
    compared = card.dataset.variant;
    document.querySelectorAll("[data-ticked]").forEach((place) => { place.textContent = `Press c on another to compare it with ${card.getAttribute("aria-label")}`; });
  }

  const isOff = () => localStorage.getItem(OFF) === "yes";

  document.addEventListener("keydown", (event) => {
    if (event.target.matches?.("[data-inplace]")) return inplace(event);
    const isTyping = event.target.matches?.("input:not([type=checkbox]), textarea, select, [contenteditable]");
    if (isTyping || event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return undefined;
    if (isOff() || !document.getElementById("gallery")) return undefined;
    const done = {j: () => move(1), k: () => move(-1), "?": () => keys()?.showModal(), C: remember}[event.key]
      || ("arexc".includes(event.key) && event.key.length === 1 ? () => press(event.key) : null);
    if (!done) return undefined;
    event.preventDefault();
    return done();
  });

  // Whoever comes back to the gallery, from a comparison or after a decision, stands where they left.
  const AT = "greenhouse-at";
  addEventListener("pagehide", () => {
    const card = document.getElementById("gallery") && current();
    if (card) sessionStorage.setItem(AT, card.dataset.variant);
  });
  addEventListener("DOMContentLoaded", () => {
    const card = document.querySelector(`#gallery .gh-card[data-variant="${Number(sessionStorage.getItem(AT))}"]`);
    if (card) mark(card);
  });

  // Whoever clicks or tabs into a card stands there.
  document.addEventListener("focusin", (event) => {
    const card = event.target.closest?.("#gallery .gh-card");
    if (card) mark(card);
  });

  function inplace(event) {
    const box = event.target.closest(".gh-editing");
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      box.querySelector("[data-save]").click();
    } else if (event.key === "Escape") {
      event.preventDefault(); // it would close the window around it
      box.querySelector("[data-cancel]").click();
    }
  }

  // --- texts --------------------------------------------------------------------------------------------------------

  document.addEventListener("click", (event) => {
    if (event.target.closest("[data-keys-open]")) {
      keys().querySelector("[data-keys-off]").checked = isOff();
      keys().showModal();
    }
    // What is under the dialog belongs to it: a click beside it closes it.
    if (event.target.matches("dialog.gh-dialog")) event.target.close();
  });

  document.addEventListener("change", (event) => {
    if (event.target.matches("[data-keys-off]")) localStorage.setItem(OFF, event.target.checked ? "yes" : "no");
  });

  document.addEventListener("htmx:afterSettle", (event) => {
    if (event.target.id === "texts" && event.target.children.length && !texts().open) texts().showModal();
    const field = document.querySelector(".gh-editing [data-inplace]:not([data-begun])");
    if (field) {
      field.dataset.begun = "yes";
      if (document.activeElement !== field) { // who was quicker types on
        field.focus();
        field.setSelectionRange(field.value.length, field.value.length);
      }
    }
    // Who decided by key or changed a text goes on from the same card.
    if (document.activeElement === document.body) document.querySelector(".gh-card.gh-at")?.focus({preventScroll: true});
  });

  // A page whose words changed is drawn anew.
  document.addEventListener("variant-changed", (event) => {
    const pk = event.detail.value;
    document.querySelectorAll(`[data-variant="${pk}"] iframe, [data-variant-frame="${pk}"]`).forEach((frame) => { frame.src = frame.src; });
  });

  addEventListener("message", (event) => {
    const frame = document.querySelector("[data-touchable]");
    if (!frame || event.source !== frame.contentWindow || !event.data) return;
    const list = [...frame.closest(".gh-texts").querySelectorAll(".gh-text-list .gh-text")];
    if (event.data.greenhouseReady) {
      const told = list.map((text) => ({
        place: text.dataset.place,
        text: (text.querySelector(".gh-inplace, p") || text).firstChild ? words(text) : "",
        isBad: text.classList.contains("gh-blocked"),
      }));
      frame.contentWindow.postMessage({greenhouseTexts: told}, "*"); // its origin is nobody's: there is no name for it
    }
    // Of what the picture says, only a place that is listed here is taken.
    const chosen = list.find((text) => text.dataset.place === event.data.greenhouseText);
    if (chosen) {
      chosen.scrollIntoView({block: "nearest"});
      (chosen.querySelector("[data-inplace]") || chosen.querySelector(".gh-inplace"))?.click();
    }
  });

  function words(text) {
    const shown = text.querySelector(".gh-inplace, p").cloneNode(true);
    shown.querySelectorAll(".gh-hidden").forEach((each) => each.remove());
    return shown.textContent;
  }
})();
