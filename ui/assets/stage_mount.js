// Runs once when Gradio puts the element on the page. Loads the viewer only when it scrolls into view.
const host = element.querySelector(".fw-stage");
const config = window.gradio_config ?? {};
const root = new URL(config.root || "/", window.location.href).pathname.replace(/\/$/, "");
const AUTO_BYTES = 25_000_000;
const small = window.matchMedia("(pointer: coarse)"); // phones keep the light scene unless the visitor requests the full one
let stage = null;
let loading = null;
let visible = false;
let asked = false;
let shownUrl = null;
let shownView = "";
let drawnUrl = null;
let shownFull = null; // what replaces the light scene or is offered; written after it
let timer = 0;

const served = (file) => `${root}${config.api_prefix ?? "/gradio_api"}/file=${file}`;
const kindOf = (name) => name.split(".").pop().toLowerCase();
const fileOf = (given) => (given ? { url: served(given.file), kind: kindOf(given.file), bytes: given.bytes } : null);
const sceneFile = () => fileOf(props.view?.scene);
const urlOf = (file) => file?.url ?? null;
const posterUrl = () => (props.view?.poster ? served(props.view.poster) : null);
const heavy = () => (sceneFile()?.bytes ?? 0) > AUTO_BYTES || Boolean(navigator.connection?.saveData);

const viewerUrl = served("__STATIC__/viewer.js");

/** The full scene after the light one: immediately where it is cheap, otherwise on request. */
async function complete() {
  const file = fileOf(props.view?.full);
  if (!file || file.url === shownFull || !stage.slot.mesh || urlOf(sceneFile()) !== drawnUrl) return;
  shownFull = file.url;
  if (file.bytes > AUTO_BYTES || small.matches || navigator.connection?.saveData) {
    stage.offerWhole(window.fwTexts.text("viewer.whole", { size: (file.bytes / 1e6).toFixed(1) }), () => stage.replaceScene(file));
  } else await stage.replaceScene(file);
}

const invitation = () => {
  const bytes = sceneFile()?.bytes;
  return `${window.fwTexts.text(props.view?.invite ?? "viewer.show")}${bytes ? ` · ${(bytes / 1e6).toFixed(1)} MB` : ""}`;
};
const accept = () => { asked = true; refresh(); };

function placeholder() {
  const file = sceneFile();
  if (!props.view?.cameras && !file) {
    host.innerHTML = `<p class="fw-empty">${window.fwTexts.text("viewer.empty")}</p>`;
    return;
  }
  const poster = posterUrl();
  host.innerHTML = `<div class="fw-placeholder"><button type="button" class="fw-add"></button></div>`;
  host.querySelector("button").textContent = invitation();
  host.querySelector("button").addEventListener("click", accept);
  if (poster) host.firstElementChild.style.backgroundImage = `url("${poster}")`;
}

function onKeyframes(state) {
  clearTimeout(timer);
  timer = setTimeout(() => trigger("keyframes", { ...state, origin: host.dataset.origin }), 300);
}

async function open() {
  loading ??= import(viewerUrl);
  const viewer = await loading;
  if (!stage || stage.disposed) {
    stage = viewer.mount(host, { onKeyframes });
    shownUrl = null;
    shownView = "";
    drawnUrl = null;
    shownFull = null;
  }
}

async function refresh() {
  if (!props.view?.cameras && !props.view?.refused && !sceneFile()) return;
  if (props.view?.refused && !stage) return; // nothing has been drawn yet that could be outdated
  if (!asked && (!visible || (!stage && heavy()))) return;
  try {
    await open();
  } catch (error) {
    loading = null;
    host.querySelector("button")?.replaceChildren(window.fwTexts.text("viewer.not_loaded"));
    console.warn("viewer", error);
    return;
  }
  if (!stage) return;
  const file = sceneFile();
  const fresh = urlOf(file) !== shownUrl;
  const offered = fresh && !asked && heavy();
  shownUrl = offered ? null : urlOf(file);
  asked = false;
  if (fresh) {
    stage.touched = false;
    drawnUrl = null;
    shownFull = null;
  }
  const view = JSON.stringify({ ...props.view, scene: null, full: null });
  if (fresh || view !== shownView) { // returning to a tab changes nothing: the visitor's view is kept
    shownView = view;
    await stage.setState({ ...props.view, poster: posterUrl() });
    if (urlOf(sceneFile()) !== urlOf(file)) return; // another scene has arrived meanwhile
  }
  if (offered) await stage.offer(invitation(), accept);
  else if (fresh) {
    await stage.setScene(file);
    if (urlOf(file) === shownUrl) drawnUrl = shownUrl;
  }
  if (drawnUrl && drawnUrl === shownUrl) await complete();
}

host.dataset.scene = urlOf(sceneFile()) ?? "";
placeholder();
watch("view", () => {
  host.dataset.scene = urlOf(sceneFile()) ?? "";
  if (!stage && !props.view?.refused) placeholder();
  refresh();
});
new IntersectionObserver((entries) => {
  visible = entries.at(-1).isIntersecting;
  if (visible) refresh();
}, { rootMargin: "80px" }).observe(host);
