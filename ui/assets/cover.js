// Runs once: the sentence in front of Gradio's viewer. While that draws, the cover stays for as many frames as its
// points need to grow; they are counted from when its file is here.
const FRAMES = 70; // what is 40 of its units away, eight times as far as the point looked at, is whole by then
const cover = element.querySelector(".fw-cover");
const text = cover.firstElementChild;
const viewer = document.getElementById("fw-plain");
let run = 0;
let fetched = 0;

new PerformanceObserver((list) => {
  for (const { name } of list.getEntries()) if (name.endsWith(".splat") && !name.endsWith("blank.splat")) fetched += 1;
}).observe({ type: "resource" });

function show() {
  text.textContent = props.value ? window.fwTexts.text(props.value) : "";
  cover.hidden = false;
  run += 1;
  if (!props.drawing) return;
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
show();
watch(["value", "drawing"], show);
