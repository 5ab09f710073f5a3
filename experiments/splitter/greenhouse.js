// Served as /p/{slug}/greenhouse.js. Says that the page was shown, reports goals that only the page itself can see,
// and asks for consent. docs/pages.md describes what a page's author may call.
(function () {
  "use strict";
  var base = new URL(".", document.currentScript.src);
  var yearSeconds = 31536000;

  function cookie(name) {
    var found = new RegExp("(?:^|;\\s*)" + name + "=([^;]*)").exec(document.cookie);
    return found ? found[1] : "";
  }

  function post(address) {
    // Kept alive: it arrives even if the page is being left.
    return fetch(address, {method: "POST", keepalive: true});
  }

  // A page that was fetched ahead is not shown yet, and one that was opened in a hidden tab neither.
  function whenShown(then) {
    function again() { whenShown(then); }
    if (document.prerendering) document.addEventListener("prerenderingchange", again, {once: true});
    else if (document.visibilityState !== "visible") document.addEventListener("visibilitychange", again, {once: true});
    else then();
  }

  function confirmSeen() {
    if (!cookie("gh_pending")) return;
    var seen = new URL("seen", base);
    try {
      var from = document.referrer ? new URL(document.referrer).hostname : "";
      if (from && from !== location.hostname) seen.searchParams.set("referrer", from);
    } catch (error) { /* a referrer that is no address says nothing */ }
    post(seen).catch(function () { /* the cookie stays, so the next page says it again */ });
  }

  window.greenhouse = {
    // greenhouse.track("signup"), greenhouse.track("order", {value: 49.9, event_id: "A-1001"})
    track: function (goal, detail) {
      var event = {goal: goal};
      if (detail && detail.value !== undefined) event.value = detail.value;
      if (detail && detail.event_id !== undefined) event.event_id = String(detail.event_id);
      // A beacon is sent even if the page is being left.
      return navigator.sendBeacon(new URL("event", base), JSON.stringify(event));
    },

    // greenhouse.consent() lets the next visit count; greenhouse.consent(false) takes it back and has us forget.
    consent: function (given) {
      var agreed = given !== false;
      document.cookie = "gh_consent=" + (agreed ? "yes" : "no") + "; SameSite=Lax; Path=" + base.pathname +
        "; Max-Age=" + yearSeconds;
      return agreed ? Promise.resolve() : post(new URL("forget", base)).then(function () {});
    }
  };

  // The page's own bar, where the experiment asks for consent. A browser that objects by itself is not asked.
  function offerConsent() {
    var bar = document.getElementById("consent"), choices = document.getElementById("consent-choices");
    if (!bar || !choices || navigator.globalPrivacyControl || navigator.doNotTrack === "1") return;
    function answer(agreed) {
      bar.hidden = true;
      choices.hidden = false;
      window.greenhouse.consent(agreed).catch(function () { /* the answer itself is kept in the browser */ });
    }
    document.getElementById("consent-yes").addEventListener("click", function () { answer(true); });
    document.getElementById("consent-no").addEventListener("click", function () { answer(false); });
    choices.addEventListener("click", function () {
      bar.hidden = false;
      bar.focus();
    });
    bar.hidden = choices.hidden = true;
    (cookie("gh_consent") ? choices : bar).hidden = false;
  }

  // On an imported page: what was picked as a goal and leads nowhere by itself. The answer sends nobody anywhere.
  function tellOfPicked(event) {
    var place = event.target.closest ? event.target.closest("[data-greenhouse]") : null;
    if (!place || (place.nodeName === "FORM") !== (event.type === "submit")) return;
    var go = new URL("go/" + encodeURIComponent(place.getAttribute("data-greenhouse")), base);
    fetch(go, {redirect: "manual", keepalive: true}).catch(function () { /* uncounted, and nothing else */ });
  }

  document.addEventListener("click", tellOfPicked, true);
  document.addEventListener("submit", tellOfPicked, true);
  whenShown(confirmSeen);
  offerConsent();
})();
