// Runs once: the sentence in front of Gradio's viewer. While that draws, the cover stays for as many frames as its
// points need to grow; they are counted from when its file is here. Gradio loads that viewer's code when it is first
// needed, and never tries again when this fails: without a canvas after a while, the scene is asked for again.
const FRAMES = 70; // what is 40 of its units away, eight times as far as the point looked at, is whole by then
const PATIENCE_MS = 5000;
const ATTEMPTS = 4;
const cover = element.querySelector(".fw-cover");
const text = cover.firstElementChild;
const viewer = document.getElementById("fw-plain");
let run = 0;
let fetched = 0;
let attempts = 0;
let waiting = 0;

new PerformanceObserver((list) => {
  for (const { name } of list.getEntries()) if (name.endsWith(".splat") && !name.endsWith("blank.splat")) fetched += 1;
}).observe({ type: "resource" });

function show() {
  text.textContent = props.value ? window.fwTexts.text(props.value) : "";
  cover.hidden = false;
  run += 1;
  clearTimeout(waiting);
  if (!props.drawing) return;
  attempts = 0;
  insist();
  const [mine, before] = [run, fetched];
  let frames = 0;
  const count = () => {
    if (mine !== run) return;
    if (fetched > before && viewer.querySelector("canvas")) frames += 1;
    if (frames >= FRAMES) cover.hidden = true;
    else requestAnimationFrame(count);
  };
  requestAnimationFrame(count);
}
function insist() {
  waiting = setTimeout(() => {
    if (viewer.querySelector("canvas")) return;
    if (viewer.offsetParent) attempts += 1;
    if (attempts > ATTEMPTS) {
      text.textContent = window.fwTexts.text("plain.not_loaded");
      return;
    }
    if (viewer.offsetParent) trigger("again");
    insist();
  }, PATIENCE_MS);
}
show();
watch(["value", "drawing"], show);
