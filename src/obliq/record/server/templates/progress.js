// Keeps the progress of the work current, and loads the page again when a step or the work ends.
"use strict";
(() => {
  const part = (name) => document.getElementById(name);
  let steps = null;
  const show = (now) => {
    part("stage").textContent = now.stage || "Starting";
    const bar = part("bar");
    if (now.of) {
      bar.max = now.of;
      bar.value = now.step;
    } else {
      bar.removeAttribute("value");
    }
    part("note").textContent = now.of ? `${now.step} of ${now.of}, ${now.note}` : "\u00a0";
  };
  const ask = async () => {
    try {
      const answer = await fetch("/work.json", { credentials: "same-origin", redirect: "error" });
      const now = await answer.json();
      if (!now.running || (steps !== null && steps !== now.steps_done)) {
        location.reload();
        return;
      }
      steps = now.steps_done;
      show(now);
    } catch {
      // the server may be starting again, or the login is over: the page stays as it is
    }
    setTimeout(ask, 2000);
  };
  setTimeout(ask, 1000);
})();
