// Entry: puts a stage into an element and keeps it in step with the page.
import { NoWebGL } from "./world.js";
import { Stage } from "./stage.js";

const NO_WEBGL = "This browser cannot show 3D (WebGL 2 is off or missing). The video and the downloads work without it.";

/** Make a stage in `root`. Returns null, with a text in place of the canvas, where WebGL 2 is missing. */
export function mount(root, { onKeyframes }) {
  try {
    const stage = new Stage(root, { onKeyframes });
    root.stage = stage;
    return stage;
  } catch (error) {
    if (!(error instanceof NoWebGL)) throw error;
    const text = document.createElement("p");
    text.className = "fw-no-webgl";
    text.setAttribute("role", "alert");
    text.textContent = NO_WEBGL;
    root.replaceChildren(text);
    return null;
  }
}
