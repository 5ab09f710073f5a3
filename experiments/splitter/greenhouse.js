// Served as /p/{slug}/greenhouse.js. Reports goals that only the page itself can see, and passes on consent.
(function () {
  "use strict";
  var base = new URL(".", document.currentScript.src);
  var yearSeconds = 31536000;

  window.greenhouse = {
    // greenhouse.track("signup"), greenhouse.track("order", {value: 49.9, event_id: "A-1001"})
    track: function (goal, detail) {
      var event = {goal: goal};
      if (detail && detail.value !== undefined) event.value = detail.value;
      if (detail && detail.event_id !== undefined) event.event_id = String(detail.event_id);
      // A beacon is sent even if the page is being left.
      return navigator.sendBeacon(new URL("event", base), JSON.stringify(event));
    },

    // greenhouse.consent(true) lets the next visit count; greenhouse.consent(false) takes it back.
    consent: function (given) {
      document.cookie = "gh_consent=" + (given ? "yes" : "") + "; SameSite=Lax; Path=" + base.pathname +
        "; Max-Age=" + (given ? yearSeconds : 0);
    }
  };
})();
