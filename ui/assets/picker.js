// Runs once for each gallery: sets the pictures of the tiles and sends the selection to Python. A tile with an animation
// fetches and shows it while it is hovered over or has the focus.
const config = window.gradio_config ?? {};
const root = new URL(config.root || "/", window.location.href).pathname.replace(/\/$/, "");
const calm = window.matchMedia("(prefers-reduced-motion: reduce)");
const served = (file) => `${root}${config.api_prefix ?? "/gradio_api"}/file=${file}`;
const tiles = [...element.querySelectorAll(".fw-tile")];

function show(tile) {
  const image = tile.querySelector("img[data-still]");
  if (!image) return;
  const moves = image.dataset.moving && !calm.matches && (tile.matches(":hover") || tile.matches(":focus-within"));
  const url = served(moves ? image.dataset.moving : image.dataset.still);
  image.dataset.wanted = url;
  if (!moves) {
    image.src = url;
    return;
  }
  const fetched = new Image(); // the still stays until the animation is fully loaded
  fetched.onload = () => {
    if (image.dataset.wanted === url) image.src = url;
  };
  fetched.src = url;
}
const mark = () => {
  for (const input of element.querySelectorAll("input")) input.checked = input.value === props.value;
};
for (const tile of tiles) {
  for (const type of ["pointerenter", "pointerleave", "focusin", "focusout"]) tile.addEventListener(type, () => show(tile));
  show(tile);
}
calm.addEventListener("change", () => tiles.forEach(show));
mark();
watch("value", mark);
element.addEventListener("change", (event) => trigger("pick", { name: event.target.value }));
// A second click on the selected tile counts too: an example may have been edited since.
element.addEventListener("click", (event) => {
  if (event.target.matches("input") && event.target.value === props.value) trigger("pick", { name: props.value });
});
