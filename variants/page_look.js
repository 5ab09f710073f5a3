// What the browser's check (chromium.py) asks of a page that it has open. One function, so that nothing stays in the page.
// `task.what` is one of the names at the foot. Faults are {kind, words, place, detail}: page_health.py puts them in words.
(task) => {
  const SLACK = 2; // pixels: fractions are rounded differently by every layout engine
  const SHARED = 0.2; // of the smaller text's area: more than this and two texts are written over each other
  const LINE = 0.2; // of a line's height at its top and bottom: ascenders of tight lines touch without harm
  const NONE = new Set(["rgba(0, 0, 0, 0)", "transparent"]);
  const CONTROLS = "a[href], button, input:not([type=hidden]), select, textarea, summary";

  const one = (text) => (text || "").replace(/\s+/g, " ").trim();

  function words(node) {
    if (!node || node.nodeType !== 1) return "";
    const label = node.labels && node.labels[0];
    const said = one(node.innerText) || (label && label.innerText) || node.getAttribute("aria-label") ||
      node.getAttribute("alt") || node.getAttribute("placeholder") || "";
    return one(said).slice(0, task.longest);
  }

  // The way to an element by its place among its siblings: the same for a page and a patch of it.
  function place(node) {
    const steps = [];
    for (; node && node.parentElement; node = node.parentElement) {
      steps.unshift(node.localName + ":" + [...node.parentElement.children].indexOf(node));
    }
    return steps.join(" ");
  }

  const fault = (kind, node, detail = "") => ({kind, words: words(node), place: place(node), detail: String(detail)});

  function isShown(node) {
    return node.checkVisibility({checkOpacity: true, checkVisibilityCSS: true}) && !node.closest("[inert]");
  }

  // Words in a drawing are part of it, and may bleed off with it.
  const isAside = (node) => Boolean(node.closest("svg"));

  function floats(node) {
    for (; node && node.parentElement; node = node.parentElement) {
      if (["fixed", "sticky"].includes(getComputedStyle(node).position)) return true;
    }
    return false;
  }

  // Every piece of text that can be read, with the boxes of its lines.
  function texts() {
    const found = [], walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    for (let text = walker.nextNode(); text && found.length < task.most; text = walker.nextNode()) {
      const node = text.parentElement;
      if (!text.data.trim() || ["SCRIPT", "STYLE", "NOSCRIPT", "OPTION", "TEXTAREA"].includes(node.nodeName)) continue;
      if (!isShown(node) || isAside(node)) continue;
      const range = document.createRange();
      range.selectNodeContents(text);
      const boxes = [...range.getClientRects()].filter((box) => box.width > 1 && box.height > 1);
      // Off to the left or above the page is where texts for screen readers are kept.
      const onPage = boxes.filter((box) => box.right > 0 && box.bottom + scrollY > 0);
      if (onPage.length) found.push({node, boxes: onPage, words: one(text.data).slice(0, task.longest)});
    }
    return found;
  }

  const spoken = (kind, text, detail = "") => ({kind, words: text.words, place: place(text.node), detail: String(detail)});

  // What becomes of a text's lines on the way up: "scrolled" (can be reached), "hidden" (kept from sight on purpose),
  // "clipped" (cut off in the midst), "out" (sticks out of the box that it belongs to), or "".
  function fate(text) {
    let isPlaced = false, isOut = false;
    for (let node = text.node; node && node !== document.body; node = node.parentElement) {
      const style = getComputedStyle(node), box = node.getBoundingClientRect();
      if (/auto|scroll/.test(style.overflowX + style.overflowY)) return "scrolled";
      if (/hidden|clip/.test(style.overflowX + style.overflowY) && style.display !== "inline") {
        const seen = text.boxes.filter((line) => line.left < box.right && line.right > box.left &&
          (line.top + line.bottom) / 2 < box.bottom && (line.top + line.bottom) / 2 > box.top);
        if (!seen.length || box.width < SLACK || box.height < SLACK) return "hidden";
        const isCut = seen.some((line) => line.right > box.right + SLACK || line.left < box.left - SLACK);
        const isCutBelow = seen.length < text.boxes.length;
        text.boxes = seen;
        if (isCut || isCutBelow) return "clipped";
      }
      const isBox = !NONE.has(style.backgroundColor) || parseFloat(style.borderLeftWidth) > 0;
      if (isBox && !isPlaced && !isOut && style.display !== "inline") {
        isOut = text.boxes.some((line) => line.right > box.right + SLACK || line.left < box.left - SLACK ||
          (line.top + line.bottom) / 2 > box.bottom);
      }
      isPlaced = isPlaced || ["absolute", "fixed"].includes(style.position);
      if (style.position === "fixed") break;
    }
    return isOut ? "out" : "";
  }

  const isBeside = (box) => box.right > innerWidth + SLACK || box.left < -SLACK;

  function spilled(all) {
    const found = [], width = innerWidth;
    for (const text of all) {
      text.fate = fate(text);
      if (text.fate === "clipped") found.push(spoken("clipped", text));
      else if (text.fate === "out") found.push(spoken("overflow", text, "box"));
      else if (!text.fate && text.boxes.some(isBeside)) found.push(spoken("overflow", text, "edge"));
    }
    const isHeld = [document.documentElement, document.body].some((node) => /hidden|clip/.test(getComputedStyle(node).overflowX));
    if (document.documentElement.scrollWidth > width + 1 && !isHeld && !found.length) found.push(widest() || fault("overflow", null, "page"));
    return found;
  }

  // What makes the page wider than the screen, if it is no text.
  function widest() {
    const nodes = [...document.body.querySelectorAll("*")].slice(0, task.most);
    const beside = nodes.filter((node) => {
      const box = node.getBoundingClientRect();
      return isShown(node) && isBeside(box) && box.right > 0;
    });
    const inner = beside.find((node) => !beside.some((other) => other !== node && node.contains(other)));
    return inner ? fault("overflow", inner, "page") : null;
  }

  function shared(one, other) {
    const wide = Math.min(one.right, other.right) - Math.max(one.left, other.left);
    const high = Math.min(one.bottom, other.bottom) - Math.max(one.top, other.top);
    if (wide <= SLACK || high <= SLACK) return 0;
    const area = (box) => (box.right - box.left) * (box.bottom - box.top);
    return wide * high / Math.min(area(one), area(other));
  }

  function belong(a, b) {
    return a === b || a.contains(b) || b.contains(a) || [...(a.labels || [])].some((label) => label.contains(b)) ||
      [...(b.labels || [])].some((label) => label.contains(a));
  }

  function overlaps(all) {
    const boxes = [];
    for (const text of all) {
      if (["hidden", "scrolled"].includes(text.fate) || floats(text.node)) continue;
      for (const line of text.boxes) {
        const inset = (line.bottom - line.top) * LINE;
        boxes.push({left: line.left, right: line.right, top: line.top + inset, bottom: line.bottom - inset, node: text.node, words: text.words});
      }
    }
    for (const node of [...document.querySelectorAll("button, input:not([type=hidden]), select, textarea")].slice(0, task.most)) {
      const box = node.getBoundingClientRect();
      if (!isShown(node) || isAside(node) || floats(node) || box.width <= SLACK) continue;
      boxes.push({left: box.left, right: box.right, top: box.top, bottom: box.bottom, node, words: words(node)});
    }
    boxes.sort((a, b) => a.top - b.top);
    const found = new Map();
    boxes.forEach((box, at) => {
      for (let next = at + 1; next < boxes.length && boxes[next].top < box.bottom; next += 1) {
        const other = boxes[next];
        if (box.node === other.node || belong(box.node, other.node) || shared(box, other) < SHARED) continue;
        const key = place(box.node);
        if (!found.has(key) && found.size < task.mostOfAKind) {
          found.set(key, {kind: "overlap", words: box.words, place: key, detail: other.words});
        }
      }
    });
    return [...found.values()];
  }

  function isSeen(node) {
    const box = node.getBoundingClientRect();
    if (!isShown(node) || box.top < -SLACK || box.bottom > innerHeight + SLACK || box.left < -SLACK || box.right > innerWidth + SLACK) return false;
    const top = document.elementFromPoint((box.left + box.right) / 2, (box.top + box.bottom) / 2);
    return Boolean(top) && (node.contains(top) || top.contains(node));
  }

  function firstScreen() {
    if (!task.button) return [];
    const buttons = [...document.querySelectorAll(task.button)];
    if (!buttons.length || buttons.some(isSeen)) return [];
    return [fault("first_screen", buttons[0])];
  }

  function measure() {
    const all = texts();
    return [...spilled(all), ...overlaps(all)].slice(0, task.most);
  }

  async function access() {
    const parts = document.getElementsByTagName("*").length;
    if (parts > task.most) return [{...fault("unchecked", null, "it has more than " + task.most + " parts"), help: ""}];
    // Large text too must have 4.5: what is large on a desktop need not be on a phone.
    axe.configure({checks: [{id: "color-contrast", options: {contrastRatio: {large: {expected: task.contrast}}}}]});
    const options = {resultTypes: ["violations"], preload: false, iframes: false, rules: {"page-has-heading-one": {enabled: false}}};
    const {violations} = await axe.run(document, options);
    const found = [];
    for (const rule of violations) {
      for (const {target, any} of rule.nodes.slice(0, task.mostOfAKind)) {
        let node = null;
        try { node = document.querySelector(target[0]); } catch (error) { /* a path into a frame or shadow tree */ }
        const ratio = any[0] && any[0].data && any[0].data.contrastRatio;
        const isPractice = rule.tags.includes("best-practice"); // no demand of WCAG's
        found.push({...fault(isPractice ? "practice" : rule.id, node, ratio || rule.help), help: rule.help});
      }
    }
    return found;
  }

  function reachable() {
    return [...document.querySelectorAll(CONTROLS)]
      .filter((node) => isShown(node) && !node.disabled && node.tabIndex >= 0 && node.getClientRects().length)
      // Of radio buttons of one name, the Tab key reaches one.
      .filter((node) => node.type !== "radio");
  }

  function focused() {
    const node = document.activeElement;
    return !node || node === document.body ? null : fault("keyboard", node);
  }

  function press() {
    const node = document.querySelector(task.selector);
    if (!node) return false;
    if (node.nodeName === "FORM") node.requestSubmit();
    else node.click();
    return true;
  }

  const VALUES = {email: "visitor@example.com", tel: "+49 30 901820", url: "https://example.com/", number: "1", date: "2030-01-31"};

  // Fill the page's own form in as a visitor would, or leave it as it is, and send it.
  function send() {
    const form = document.querySelector(task.selector);
    if (!form) return false;
    if (!task.isFilled) {
      form.noValidate = true;
      form.requestSubmit();
      return true;
    }
    for (const field of form.elements) {
      if (field.type === "checkbox") field.checked = true;
      else if (field.nodeName === "SELECT") field.value = ([...field.options].find((option) => option.value) || {}).value || "";
      else if (["INPUT", "TEXTAREA"].includes(field.nodeName)) field.value = VALUES[field.type] || "Robin";
    }
    form.requestSubmit();
    return true;
  }

  const tasks = {measure, firstScreen, access, press, send, focused, reachable: () => reachable().slice(0, task.most).map((node) => fault("keyboard", node))};
  return tasks[task.what]();
}
