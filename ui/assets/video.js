// Runs once: a muted, looping player that follows the value.
const host = element.querySelector(".fw-video");
const MOST_ENLARGED = 2;
const calm = window.matchMedia("(prefers-reduced-motion: reduce)");

function show() {
  const { video, poster } = props.value ?? {};
  if (!video?.url) {
    host.innerHTML = `<p class="fw-empty">The video of the scene appears here.</p>`;
    return;
  }
  const player = document.createElement("video");
  Object.assign(player, { muted: true, loop: true, controls: true, playsInline: true, preload: "metadata" });
  player.autoplay = !calm.matches;
  player.setAttribute("aria-label", "Video along the camera path");
  if (poster?.url) player.poster = poster.url;
  player.addEventListener("error", () => {
    host.innerHTML = `<p class="fw-empty" role="alert">The video is gone: results are kept for an hour. Generate it again.</p>`;
  });
  player.addEventListener("loadedmetadata", () => {
    player.style.maxWidth = `${MOST_ENLARGED * player.videoWidth}px`; // a small film shown large is only soft
  });
  player.src = video.url;
  host.replaceChildren(player);
}
show();
watch("value", show);
