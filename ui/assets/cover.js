// Runs once: the text in front of Gradio's viewer. While the viewer draws, the cover stays for as many frames as the
// points need to grow, counted from the arrival of the file. Gradio loads the viewer's code when it is first
// needed and never retries after a failure: if there is no canvas after a while, the scene is requested again.
const FRAMES = 70; // by then everything within 40 of its units, eight times the distance of the orbit centre, has its full size
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
