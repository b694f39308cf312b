// Framing, colours, pictures of the view, full screen.
import { Matrix4, Quaternion, Vector3 } from "three";

const UP = new Vector3(0, 1, 0);

/** All cameras of a path from behind, a little to the right and above; with room for the picture ahead of them. */
export function overview(path, unit, withPicture) {
  const forward = path.forward();
  const target = path.center().addScaledVector(forward, (withPicture ? 0.7 : 0.25) * unit);
  const right = forward.clone().cross(UP);
  if (right.lengthSq() < 1e-4) right.set(1, 0, 0);
  const away = forward.clone().negate().addScaledVector(right.normalize(), 0.75).addScaledVector(UP, 0.62).normalize();
  const reach = (withPicture ? 3.1 : 2.2) * unit;
  const position = target.clone().addScaledVector(away, reach);
  const quaternion = new Quaternion().setFromRotationMatrix(new Matrix4().lookAt(position, target, UP));
  return { view: { position, quaternion, fov: 50 }, reach };
}

/** Stage colours from the page's theme. */
export function readColors(root) {
  const style = getComputedStyle(root);
  const read = (name, fallback) => style.getPropertyValue(name).trim() || fallback;
  return {
    background: read("--fw-stage", "#e9edf0"),
    grid: read("--fw-grid", "#c3ccd3"),
    line: read("--fw-line", "#5b6b78"),
    accent: read("--fw-accent", "#0f766e"),
  };
}

/** Offer the present view as a PNG. */
export function savePicture(stage) {
  stage.world.draw(); // the drawing buffer is only readable right after drawing
  stage.canvas.toBlob((blob) => {
    if (!blob) return;
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = "flashworld-view.png";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
    stage.overlay.say("Picture saved");
  });
}

/** Real full screen where the browser has it, else the whole window (phones). */
export async function toggleFullscreen(root) {
  if (document.fullscreenElement) return document.exitFullscreen();
  if (root.classList.contains("fw-full")) return root.classList.remove("fw-full");
  if (root.requestFullscreen) return root.requestFullscreen().catch(() => root.classList.add("fw-full"));
  root.classList.add("fw-full");
}
