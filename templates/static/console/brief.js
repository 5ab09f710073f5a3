// The brief's lists as lists: rows to fill in, over the text areas that hold them. Without this, the text areas do.
"use strict";

(() => {
  const DASH = " -- ";
  const KINDS = ["e-mail", "text", "phone", "long text", "choice", "tick box"];
  const HINTS = {"Where it comes from (optional)": "where it stands", "Options, with commas": "1–10, 11–50, more"};
  // Of each kind of list: how a line becomes the parts of a row, and back.
  const SHAPES = {
    facts: {
      add: "Add a fact",
      parts: ["Fact", "Where it comes from (optional)"],
      read: (line) => {
        const at = line.lastIndexOf(DASH);
        return at < 0 ? [line, ""] : [line.slice(0, at), line.slice(at + DASH.length)];
      },
      write: ([text, source]) => (source.trim() && text.trim() ? `${text.trim()}${DASH}${source.trim()}` : text.trim()),
    },
    lines: {
      add: "Add another",
      parts: ["Words"],
      read: (line) => [line],
      write: ([text]) => text.trim(),
    },
    fields: {
      add: "Add a field",
      parts: ["Label", "Kind", "Required", "Options, with commas"],
      read: (line) => {
        const [label, kind = "", need = "", ...options] = line.split("|").map((part) => part.trim());
        return [label, KINDS.includes(kind) ? kind : guess(label), need === "optional" ? "" : "required", options.join(", ")];
      },
      write: ([label, kind, need, options]) => {
        if (!label.trim()) return "";
        const parts = [label.trim(), kind, need || "optional"];
        if (kind === "choice" && options.trim()) parts.push(options.trim());
        return parts.join(" | ");
      },
    },
  };

  function guess(label) {
    return /mail/i.test(label) ? "e-mail" : /phone/i.test(label) ? "phone" : "text";
  }

  function enhance(area) {
    const shape = SHAPES[area.dataset.list];
    const label = document.querySelector(`label[for="${area.id}"]`);
    const list = document.createElement("ol");
    list.className = `gh-list gh-list-${area.dataset.list}`;
    list.setAttribute("aria-label", label.firstChild.textContent.trim());
    const examples = (area.placeholder || "").split("\n").map((line) => shape.read(line));

    function save() {
      area.value = [...list.children].map((row) => shape.write(values(row))).filter(Boolean).join("\n");
      area.dispatchEvent(new Event("input", {bubbles: true}));
    }

    function values(row) {
      return [...row.querySelectorAll("[data-part]")].map((part) => (part.type === "checkbox" ? (part.checked ? "required" : "") : part.value));
    }

    function addRow(found, after) {
      const row = document.createElement("li");
      const number = list.children.length;
      const example = examples[number % Math.max(1, examples.length)] || [];
      found.forEach((value, place) => row.append(part(place, value, example[place] || "")));
      const remove = document.createElement("button");
      remove.type = "button";
      remove.className = "gh-button gh-small";
      remove.textContent = "Remove";
      remove.addEventListener("click", () => {
        const next = row.nextElementSibling || row.previousElementSibling;
        row.remove();
        if (!list.children.length) addRow(empty());
        (next || list.firstElementChild).querySelector("[data-part]")?.focus();
        name();
        save();
      });
      row.append(remove);
      if (after) after.after(row); else list.append(row);
      name();
      return row;
    }

    function part(place, value, example) {
      const words = shape.parts[place];
      let made;
      if (words === "Kind") {
        made = document.createElement("select");
        KINDS.forEach((kind) => made.append(new Option(kind, kind, false, kind === value)));
      } else if (words === "Required") {
        const box = document.createElement("label");
        box.className = "gh-check";
        made = document.createElement("input");
        made.type = "checkbox";
        made.checked = value === "required";
        made.dataset.part = words;
        box.append(made, document.createTextNode("required"));
        return box;
      } else {
        made = document.createElement("input");
        made.type = "text";
        made.value = value;
        made.placeholder = HINTS[words] || example;
      }
      made.className = "gh-input";
      made.dataset.part = words;
      return made;
    }

    function name() {
      [...list.children].forEach((row, number) => {
        row.querySelectorAll("[data-part]").forEach((each) => each.setAttribute("aria-label", `${each.dataset.part} ${number + 1}`));
        row.querySelector("button").setAttribute("aria-label", `Remove ${number + 1}`);
        const kind = row.querySelector("select[data-part]");
        if (kind) row.classList.toggle("gh-has-options", kind.value === "choice");
      });
    }

    const empty = () => shape.read("");
    area.value.split("\n").filter((line) => line.trim()).forEach((line) => addRow(shape.read(line)));
    // A form that asks for nothing asks for the e-mail address.
    if (!list.children.length) addRow(area.dataset.list === "fields" ? ["E-mail address", "e-mail", "required", ""] : empty());

    list.addEventListener("input", (event) => { event.stopPropagation(); name(); save(); });
    list.addEventListener("change", (event) => { event.stopPropagation(); name(); save(); });
    list.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || !event.target.matches("input[type=text]")) return;
      event.preventDefault(); // it would send the whole form
      addRow(empty(), event.target.closest("li")).querySelector("[data-part]").focus();
    });
    // Several lines pasted into one row become as many rows.
    list.addEventListener("paste", (event) => {
      const text = event.clipboardData.getData("text");
      if (!text.includes("\n") || !event.target.matches("input[type=text]")) return;
      event.preventDefault();
      let row = event.target.closest("li");
      const isEmpty = !shape.write(values(row));
      text.split("\n").map((line) => line.trim().replace(/^[-*•]\s+/, "")).filter(Boolean).forEach((line) => {
        row = addRow(shape.read(line), row);
      });
      if (isEmpty) event.target.closest("li").remove();
      name();
      save();
    });

    const add = document.createElement("button");
    add.type = "button";
    add.className = "gh-button gh-small";
    add.textContent = shape.add;
    add.addEventListener("click", () => addRow(empty()).querySelector("[data-part]").focus());
    area.hidden = true;
    area.after(list, add);
    label.removeAttribute("for");
  }

  // What only matters for a link, or only for a form, is shown with it alone.
  function fit() {
    const kind = document.querySelector("#id_call_to_action_kind");
    if (!kind) return;
    const isForm = kind.value === "form";
    const shown = {call_to_action_url: !isForm, form_fields: isForm, thank_you: isForm};
    Object.entries(shown).forEach(([field, isShown]) => {
      document.querySelector(`[data-field="${field}"]`).hidden = !isShown;
    });
  }

  document.addEventListener("DOMContentLoaded", () => {
    document.querySelectorAll("textarea[data-list]").forEach(enhance);
    document.querySelector("#id_call_to_action_kind")?.addEventListener("change", fit);
    fit();
  });
})();
