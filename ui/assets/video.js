// Runs once: a muted, looping player that follows the value and pauses while it is not visible.
const host = element.querySelector(".fw-video");
const MOST_ENLARGED = 2;
const calm = window.matchMedia("(prefers-reduced-motion: reduce)");

// Pauses while not visible; a video paused by the visitor stays paused.
let rested = false;
const sight = new IntersectionObserver((entries) => {
  const player = entries.at(-1).target;
  if (!entries.at(-1).isIntersecting) {
    rested ||= !player.paused;
    player.pause();
  } else if (rested) {
    rested = false;
    player.play().catch(() => {});
  }
});

function show() {
  const { video, poster } = props.value ?? {};
  if (video?.url && host.querySelector("video")?.getAttribute("src") === video.url) return; // sent again: it plays on
  if (!video?.url) {
    host.innerHTML = `<p class="fw-empty">${window.fwTexts.text("result.video_empty")}</p>`;
    return;
  }
  const player = document.createElement("video");
  Object.assign(player, { muted: true, loop: true, controls: true, playsInline: true, preload: "metadata" });
  player.autoplay = !calm.matches;
  player.setAttribute("aria-label", window.fwTexts.text("result.video_name"));
  if (poster?.url) player.poster = poster.url;
  player.addEventListener("error", () => {
    host.innerHTML = `<p class="fw-empty" role="alert">${window.fwTexts.text("result.video_gone")}</p>`;
  });
  player.addEventListener("loadedmetadata", () => {
    player.style.maxWidth = `${MOST_ENLARGED * player.videoWidth}px`; // a small video enlarged further is only blurry
  });
  player.src = video.url;
  host.replaceChildren(player);
  rested = player.autoplay;
  sight.disconnect();
  sight.observe(player);
}
show();
watch("value", show);
