// Holds one splat scene: loads it, replaces a light one with the full one, frees it.
import { SceneError, download } from "./download.js";
import { text } from "./texts.js";

const LOW_PASS_PX2 = 0.3;

export class SceneSlot {
  constructor(world, overlay) {
    Object.assign(this, { world, overlay, mesh: null, spark: null, url: null, whole: null });
  }

  /** Show `{url, kind, bytes}` or nothing. A newer call supersedes an older one that is still loading; that one returns false. */
  async show(file) {
    this.#clear();
    this.abort?.abort();
    this.overlay.done();
    this.url = file?.url ?? null;
    this.whole = null;
    if (!file) return true;
    const abort = (this.abort = new AbortController());
    try {
      await this.#load(file, abort.signal);
    } catch (error) {
      if (abort.signal.aborted) return false;
      if (!(error instanceof SceneError)) console.warn("scene", error);
      this.overlay.fail(error instanceof SceneError ? error.message : text("viewer.failed"));
    }
    return !abort.signal.aborted;
  }

  /** Replace the current file with another, keeping the current one until the other is loaded, or if loading fails. */
  async replace(file) {
    const { url, signal } = { url: this.url, signal: this.abort.signal };
    const report = (done, total) => this.overlay.say(text("viewer.whole_progress", { percent: Math.round((100 * done) / (total || file.bytes || done)) }));
    try {
      const { mesh } = await this.#read(file, signal, report, () => {});
      if (signal.aborted || this.url !== url) return mesh.dispose();
      const light = this.mesh;
      this.#put(mesh);
      this.world.scene.remove(light);
      light.dispose();
      this.whole = file.url;
    } catch (error) {
      if (signal.aborted) return;
      console.warn("whole scene", error);
      this.overlay.say(text("viewer.whole_failed"));
    }
  }

  async #load(file, signal) {
    this.overlay.progress(0, file.bytes ?? 0);
    const report = (done, total) => this.overlay.progress(done, total || file.bytes || 0);
    const { mesh, splats } = await this.#read(file, signal, report, () => this.overlay.busy(text("viewer.reading")));
    if (signal.aborted) return mesh.dispose();
    this.spark ??= this.#addSpark(splats);
    this.#put(mesh);
    this.overlay.done();
  }

  async #read(file, signal, onProgress, onBytes) {
    const [bytes, splats] = await Promise.all([download(file.url, { signal, onProgress }), import("./splats.js")]);
    onBytes();
    return { mesh: await splats.createSplats(bytes, file.kind), splats };
  }

  #put(mesh) {
    this.mesh = mesh;
    this.world.scene.add(mesh);
    this.world.invalidate();
  }

  /** Smooth as the renderer does at the size the scene was made for: at larger sizes single splats would be visible. */
  match(height) {
    if (!this.spark) return;
    const enlarged = Math.max(1, this.world.canvas.height / height);
    this.spark.preBlurAmount = LOW_PASS_PX2 * enlarged ** 2;
    this.world.invalidate();
  }

  #addSpark(splats) {
    const spark = splats.createSpark(this.world.renderer, () => this.world.invalidate());
    this.world.scene.add(spark);
    return spark;
  }

  #clear() {
    if (!this.mesh) return;
    this.world.scene.remove(this.mesh);
    this.mesh.dispose();
    this.mesh = null;
    this.world.invalidate();
  }

  dispose() {
    this.abort?.abort();
    this.#clear();
    this.spark?.dispose();
  }
}
