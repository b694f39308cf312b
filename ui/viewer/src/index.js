// Entry point: creates a stage in an element and keeps it in sync with the page.
import { NoWebGL } from "./world.js";
import { Stage } from "./stage.js";
import { text } from "./texts.js";

/** Create a stage in `root`. Without WebGL 2, returns null and shows a text instead of the canvas. */
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
