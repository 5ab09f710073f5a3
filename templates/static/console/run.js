// A plan is made on the clocks of whoever makes it, unless another zone was chosen before.
"use strict";

(() => {
  const own = Intl.DateTimeFormat().resolvedOptions().timeZone;
  document.querySelectorAll("[data-own-zone]").forEach((select) => {
    if ([...select.options].some((option) => option.value === own)) select.value = own;
  });
})();
