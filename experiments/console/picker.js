// Runs in the picture of a page, in an origin of its own: says which link, button or form was clicked.
(function () {
  "use strict";
  var MARK = "data-greenhouse";
  var sheet = new CSSStyleSheet(); // a style element would need a laxer policy than our own pages have
  sheet.replaceSync("[" + MARK + "]{cursor:pointer!important}a[" + MARK + "],button[" + MARK + "],input[" + MARK +
    "],form[" + MARK + "]{outline:2px dashed #16a34a!important;outline-offset:2px!important}[" + MARK +
    "]:hover{outline-style:solid!important}.gh-picked{outline:4px solid #16a34a!important}");
  document.adoptedStyleSheets = [sheet];

  function placeOf(element) {
    var place = element.closest("[" + MARK + "]");
    // A button that sends a form stands for the form being sent.
    var form = place && place.form && place.type === "submit" ? place.form.closest("form[" + MARK + "]") : null;
    return form || place;
  }

  document.addEventListener("click", function (event) {
    event.preventDefault();
    event.stopPropagation();
    var place = event.target.closest ? placeOf(event.target) : null;
    if (!place) return;
    document.querySelectorAll(".gh-picked").forEach(function (each) { each.classList.remove("gh-picked"); });
    place.classList.add("gh-picked");
    parent.postMessage({greenhousePlace: place.getAttribute(MARK)}, "*");
  }, true);
  document.addEventListener("submit", function (event) { event.preventDefault(); }, true);
  parent.postMessage({greenhouseReady: true}, "*");
})();
