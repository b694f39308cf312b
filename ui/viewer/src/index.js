// Entry: puts a stage into an element and keeps it in step with the page.
import { NoWebGL } from "./world.js";
import { Stage } from "./stage.js";
import { text } from "./texts.js";

/** Make a stage in `root`. Returns null, with a text in place of the canvas, where WebGL 2 is missing. */
export function mount(root, { onKeyframes }) {
  try {
    const stage = new Stage(root, { onKeyframes });
    root.stage = stage;
    return stage;
  } catch (error) {
    if (!(error instanceof NoWebGL)) throw error;
    const line = document.createElement("p");
    line.className = "fw-no-webgl";
    line.setAttribute("role", "alert");
    line.textContent = text("viewer.no_webgl");
    root.replaceChildren(line);
    return null;
  }
}
