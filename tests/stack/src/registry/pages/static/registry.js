// Keeps the part of a page that is marked `live` as new as the records. Without this script every page is whole, and as
// old as its last load.
"use strict";
(() => {
  const EVERY_MS = 2000;
  const live = document.getElementById("live");
  const state = document.getElementById("live-state");
  if (!live || !state) return;
  let busy = false;

  // Somebody fills in a form or marks a text: what they work on must not be replaced under their hands.
  function held() {
    const focus = document.activeElement;
    if (focus && live.contains(focus) && focus.matches("input, select, button")) return true;
    const marked = document.getSelection();
    return Boolean(marked && !marked.isCollapsed && live.contains(marked.anchorNode));
  }

  async function get(address) {
    const answer = await fetch(address, { cache: "no-store", signal: AbortSignal.timeout(10000) });
    if (!answer.ok) throw new Error(String(answer.status));
    return answer;
  }

  async function look() {
    if (busy || document.hidden) return;
    busy = true;
    try {
      const { revision } = await (await get("/live")).json();
      if (revision !== live.dataset.revision && held()) {
        state.textContent = "There is something new.";
        return;
      }
      if (revision !== live.dataset.revision) {
        const text = await (await get(location.href)).text();
        const fresh = new DOMParser().parseFromString(text, "text/html").getElementById("live");
        if (fresh && !held()) {
          live.replaceChildren(...fresh.childNodes);
          live.dataset.revision = fresh.dataset.revision;
        }
      }
      state.textContent = "Live.";
    } catch {
      state.textContent = "No answer from the Registry.";
    } finally {
      busy = false;
    }
  }

  setInterval(look, EVERY_MS);
  document.addEventListener("visibilitychange", look);
  look();
})();
