// Framing, colours, snapshots, full screen.
import { Matrix4, PerspectiveCamera, Quaternion, Vector3 } from "three";
import { text } from "./texts.js";

export const MAP_ASPECT = 4 / 3;
const ROOM_SHARE = 0.7;
const ROOM_RAD = 0.9;
const UP = new Vector3(0, 1, 0);

/** All cameras of a path from behind, a little to the right and above; with space for the picture in front of them. */
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

/** Whether every view of a path is in front of a camera and inside its image. */
export function sees(camera, path) {
  camera.updateMatrixWorld();
  return path.views.every(({ position }) => {
    const { x, y, z } = position.clone().project(camera);
    return Math.abs(x) < 1 && Math.abs(y) < 1 && z > -1 && z < 1;
  });
}

/** A camera that sees all of a path, for a map in the corner of the view. */
export function mapCorner(path, unit) {
  const { view } = overview(path, unit, false);
  const camera = new PerspectiveCamera(view.fov, MAP_ASPECT, 0.01 * unit, 100 * unit);
  camera.position.copy(view.position);
  camera.quaternion.copy(view.quaternion);
  camera.updateMatrixWorld();
  return camera;
}

/** Keep a camera near the views of a path, where the scene exists; returns its distance from them, 0 to 1.
 *
 * `reach` is the depth of the point that the views look at. Beyond ROOM_SHARE of it, or ROOM_RAD from the nearest view's
 * direction, nothing of the scene is visible; up to there it fades.
 */
export function keepNear(camera, path, reach) {
  let nearest = path.views[0];
  for (const view of path.views) {
    if (view.position.distanceTo(camera.position) < nearest.position.distanceTo(camera.position)) nearest = view;
  }
  const away = camera.position.clone().sub(nearest.position);
  const room = ROOM_SHARE * reach;
  if (away.length() > room) camera.position.copy(nearest.position).add(away.setLength(room));
  const turned = camera.quaternion.angleTo(nearest.quaternion);
  if (turned > ROOM_RAD) camera.quaternion.copy(nearest.quaternion.clone().slerp(camera.quaternion, ROOM_RAD / turned));
  const [far, wide] = [Math.min(1, away.length() / room), Math.min(1, turned / ROOM_RAD)];
  return Math.max(far, wide) ** 2;
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

/** Offer the current view as a PNG download. */
export function savePicture(stage) {
  stage.world.draw(); // the drawing buffer is only readable right after drawing
  stage.canvas.toBlob((blob) => {
    if (!blob) return;
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = "flashworld-view.png";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
    stage.overlay.say(text("viewer.saved"));
  });
}

/** Native full screen where the browser supports it, otherwise the whole window (phones). */
export async function toggleFullscreen(root) {
  if (document.fullscreenElement) return document.exitFullscreen();
  if (root.classList.contains("fw-full")) return root.classList.remove("fw-full");
  if (root.requestFullscreen) return root.requestFullscreen().catch(() => root.classList.add("fw-full"));
  root.classList.add("fw-full");
}
