// The only user of Spark. Fetched when the first scene is shown.
import { SparkRenderer, SplatFileType, SplatMesh } from "@sparkjsdev/spark";
import { SceneError, checkSceneBytes } from "./download.js";
import { text } from "./texts.js";

const KINDS = { ply: SplatFileType.PLY, spz: SplatFileType.SPZ, splat: SplatFileType.SPLAT };

/** A renderer that matches the project's own: low-pass 0.3 px squared, depth order, tails cut at 3 sigma. */
export function createSpark(renderer, onDirty) {
  return new SparkRenderer({
    renderer, onDirty,
    preBlurAmount: 0.3, blurAmount: 0, sortRadial: false, maxStdDev: 3, minAlpha: 1 / 255,
    enableLod: false,
  });
}

/** Parse a scene file. SPZ holds OpenGL axes; PLY and .splat hold OpenCV axes and are turned about x. */
export async function createSplats(bytes, kind) {
  checkSceneBytes(bytes, kind);
  const mesh = new SplatMesh({ fileBytes: bytes, fileType: KINDS[kind] });
  try {
    await mesh.initialized;
  } catch (error) {
    mesh.dispose();
    throw new SceneError(text("viewer.damaged"), { cause: error });
  }
  if (!mesh.splats?.getNumSplats()) {
    mesh.dispose();
    throw new SceneError(text("viewer.holds_none"));
  }
  if (kind !== "spz") mesh.quaternion.set(1, 0, 0, 0);
  return mesh;
}
