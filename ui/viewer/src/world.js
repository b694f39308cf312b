// The WebGL side: one renderer, one camera, drawn only when something has changed and the canvas is visible.
import { PerspectiveCamera, Scene, WebGLRenderer } from "three";

const MAX_PIXEL_RATIO = 2;
const MAP_WIDTH_PX = 200;
const MAP_EDGE_PX = 12;

export class NoWebGL extends Error {}

export class World {
  /** `onFrame(seconds)` runs before each drawn frame and returns true to request another; `smooth` lines slow splats down. */
  constructor(canvas, onFrame, smooth) {
    const context = canvas.getContext("webgl2", { antialias: smooth, alpha: false, powerPreference: "high-performance" });
    if (!context) throw new NoWebGL();
    this.canvas = canvas;
    this.renderer = new WebGLRenderer({ canvas, context });
    this.scene = new Scene();
    this.camera = new PerspectiveCamera(60, 1, 0.01, 1000);
    this.onFrame = onFrame;
    this.frame = 0;
    this.frames = 0;
    this.before = 0;
    this.fov = 60;
    this.inset = null;
    this.aspect = 1; // of the path's images, which always fit inside the canvas
    this.onScreen = false;
    this.pending = false;
    this.#watchSight();
  }

  /** Nothing is drawn in a hidden tab of browser or page, or while scrolled out of view; changes are drawn on return. */
  #watchSight() {
    this.sight = new IntersectionObserver((entries) => {
      this.onScreen = entries.at(-1).isIntersecting;
      this.#wake();
    });
    this.sight.observe(this.canvas);
    this.abort = new AbortController();
    document.addEventListener("visibilitychange", () => this.#wake(), { signal: this.abort.signal });
  }

  get seen() {
    return this.onScreen && !document.hidden;
  }

  #wake() {
    if (this.seen && this.pending) this.invalidate();
  }

  setBackground(color) {
    this.renderer.setClearColor(color, 1);
    this.invalidate();
  }

  setSize(width, height) {
    if (!width || !height) return; // in a hidden tab
    this.renderer.setPixelRatio(Math.min(window.devicePixelRatio || 1, MAX_PIXEL_RATIO));
    this.renderer.setSize(width, height, false);
    this.applyLens();
    this.draw(); // immediately: setting the size has cleared the canvas
  }

  /** Vertical field of view of the images; the canvas always shows at least the whole image. */
  setFov(fov) {
    this.fov = fov;
    this.applyLens();
  }

  applyLens() {
    const { camera, canvas } = this;
    camera.aspect = canvas.width / Math.max(1, canvas.height);
    const half = Math.tan((this.fov * Math.PI) / 360);
    const grow = Math.max(1, this.aspect / camera.aspect);
    camera.fov = (Math.atan(half * grow) * 360) / Math.PI;
    camera.updateProjectionMatrix();
  }

  invalidate() {
    this.pending = !this.seen;
    if (this.seen && !this.frame && this.renderer) this.frame = requestAnimationFrame((now) => this.#tick(now));
  }

  #tick(now) {
    this.frame = 0;
    if (!this.renderer) return;
    const seconds = Math.min(0.1, (now - this.before) / 1000 || 0.016);
    this.before = now;
    if (!this.seen) {
      this.pending = true;
      return;
    }
    const more = this.onFrame(seconds);
    this.draw();
    if (more) this.invalidate();
  }

  draw() {
    this.renderer.render(this.scene, this.camera);
    if (this.inset) this.#drawInset();
    this.frames += 1;
  }

  /** A second camera's view in the top right corner. */
  #drawInset() {
    const { renderer, canvas } = this;
    const width = Math.min(MAP_WIDTH_PX, 0.4 * canvas.clientWidth);
    const [x, y] = [canvas.clientWidth - width - MAP_EDGE_PX, canvas.clientHeight - width / this.inset.aspect - MAP_EDGE_PX];
    const place = [x, y, width, width / this.inset.aspect];
    renderer.setViewport(...place);
    renderer.setScissor(...place);
    renderer.setScissorTest(true);
    renderer.render(this.scene, this.inset);
    renderer.setScissorTest(false);
    renderer.setViewport(0, 0, canvas.clientWidth, canvas.clientHeight);
  }

  dispose() {
    cancelAnimationFrame(this.frame);
    this.sight.disconnect();
    this.abort.abort();
    this.renderer.dispose();
    this.renderer.forceContextLoss();
    this.renderer = null;
  }
}
