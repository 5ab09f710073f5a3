// Runs in the picture of a variant, in an origin of its own: says which of its texts was clicked.
(function () {
  "use strict";
  var PLACE = "data-greenhouse-text";
  var sheet = new CSSStyleSheet(); // a style element would need a laxer policy than the page has
  sheet.replaceSync("[" + PLACE + "]{cursor:text!important}[" + PLACE + "]:hover,[" + PLACE +
    "]:focus{outline:2px dashed #16a34a!important;outline-offset:2px!important}[" + PLACE +
    "].gh-bad{outline:2px solid #b91c1c!important;outline-offset:2px!important}");
  document.adoptedStyleSheets = [sheet];

  function plain(text) { return (text || "").replace(/\s+/g, " ").trim(); }

  function isOwn(element, words) {
    if (plain(element.textContent) !== words) return false;
    return !Array.prototype.some.call(element.children, function (child) { return plain(child.textContent) === words; });
  }

  // Texts come in the order in which they are read, and so do elements: of two with the same words each gets its own.
  function mark(texts) {
    var all = Array.prototype.filter.call(document.body.querySelectorAll("*"), function (each) {
      return !/^(SCRIPT|STYLE|SVG|TEMPLATE)$/i.test(each.tagName);
    });
    texts.forEach(function (text) {
      var words = plain(text.text);
      if (!words) return;
      var found = all.filter(function (each) { return !each.hasAttribute(PLACE) && isOwn(each, words); })[0];
      if (!found) return;
      found.setAttribute(PLACE, text.place);
      if (text.isBad) found.classList.add("gh-bad");
    });
  }

  addEventListener("message", function (event) {
    if (event.source === parent && event.data && event.data.greenhouseTexts) mark(event.data.greenhouseTexts);
  });
  document.addEventListener("click", function (event) {
    event.preventDefault();
    event.stopPropagation();
    var place = event.target.closest ? event.target.closest("[" + PLACE + "]") : null;
    if (place) parent.postMessage({greenhouseText: place.getAttribute(PLACE)}, "*");
  }, true);
  document.addEventListener("submit", function (event) { event.preventDefault(); }, true);
  parent.postMessage({greenhouseReady: true}, "*");
})();
