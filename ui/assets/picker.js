// Runs once for each gallery: gives the tiles their pictures and tells Python what was picked.
const config = window.gradio_config ?? {};
const root = new URL(config.root || "/", window.location.href).pathname.replace(/\/$/, "");
const calm = window.matchMedia("(prefers-reduced-motion: reduce)");

const show = () => {
  for (const image of element.querySelectorAll("img[data-file]")) {
    const file = calm.matches ? image.dataset.still : image.dataset.file;
    image.src = `${root}${config.api_prefix ?? "/gradio_api"}/file=${file}`;
  }
};
const mark = () => {
  for (const input of element.querySelectorAll("input")) input.checked = input.value === props.value;
};
show();
calm.addEventListener("change", show);
mark();
watch("value", mark);
element.addEventListener("change", (event) => trigger("pick", { name: event.target.value }));
// A second click on the chosen tile counts too: an example may have been edited since.
element.addEventListener("click", (event) => {
  if (event.target.matches("input") && event.target.value === props.value) trigger("pick", { name: props.value });
});
