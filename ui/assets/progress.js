// Runs once: counts the remaining time down between two progress updates, and shows when it has been exceeded.
const AT_ONCE_MS = 250;
let said = "";
let ends = 0;
const place = document.getElementById("fw-progress");

function words(seconds) {
  const { text } = window.fwTexts;
  if (seconds > 90) return text("progress.left_min", { minutes: Math.round(seconds / 60) });
  if (seconds >= 1) return text("progress.left_s", { seconds: Math.ceil(seconds) });
  const over = Math.floor(-seconds);
  return over < 1 ? text("progress.nearly") : text("progress.over", { seconds: over });
}

function tick() {
  if (!place.querySelector(".fw-progress")) place.classList.remove("fw-aside");
  else if (place.querySelector(".fw-strip")) place.classList.add("fw-aside");
  const line = element.querySelector(".fw-left[data-seconds]");
  if (!line) return;
  if (line.dataset.said !== said) {
    said = line.dataset.said;
    ends = performance.now() + 1000 * Number(line.dataset.seconds);
  }
  const text = words((ends - performance.now()) / 1000);
  if (line.textContent !== text) line.textContent = text;
}
setInterval(tick, AT_ONCE_MS);
// Covers the stage until the visitor opens another tab, then becomes a strip that keeps that tab visible. The tab
// they selected is stored for `landing`; a scene requested from the path's tab is shown when it is ready.
window.fwChosenTab = "";
document.addEventListener("click", ({ target }) => {
  const tab = target.closest?.("#fw-result-tabs [role=tab]");
  if (tab) {
    window.fwChosenTab = tab.dataset.tabId;
    if (place.querySelector(".fw-progress")) place.classList.add("fw-aside");
  } else if (target.closest?.("#fw-generate, #fw-examples input")) {
    const now = document.querySelector("#fw-result-tabs [role=tab][aria-selected=true]");
    if (now?.dataset.tabId === "path") window.fwChosenTab = "";
  }
}, { capture: true });
