// On the page where goals are picked: what was clicked in the picture is chosen in the form beside it.
"use strict";

(() => {
  const frame = document.querySelector("[data-picker]");
  const choice = document.querySelector("[data-places]");
  const said = document.querySelector("[data-picked]");
  if (!frame) return;

  addEventListener("message", (event) => {
    // The picture shows somebody else's page: only an id that is listed here is taken from it, and nothing else.
    if (event.source !== frame.contentWindow || !event.data) return;
    if (event.data.greenhouseReady) frame.inert = false;
    if (!choice) return;
    const id = event.data.greenhousePlace;
    const option = [...choice.options].find((each) => each.value === id);
    if (!option) return;
    choice.value = id;
    said.textContent = option.textContent.trim();
    choice.focus({preventScroll: false});
  });
  // Shown only now that answers are heard, and clickable once it says that it hears clicks: none is lost between.
  frame.addEventListener("load", () => { frame.inert = false; }); // what cannot be picked on can be read
  frame.src = frame.dataset.picker;
})();
