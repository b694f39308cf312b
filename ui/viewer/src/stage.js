// One 3D stage: canvas, toolbar, optional recorder, and its content. Units are scene units, axes OpenGL.
import { CameraPath } from "./path.js";
import { Controls } from "./controls.js";
import { Frusta } from "./frusta.js";
import { Keyframes } from "./keyframes.js";
import { Overlay } from "./overlay.js";
import { Player } from "./player.js";
import { Recorder } from "./recorder.js";
import { SceneSlot } from "./scene_slot.js";
import { Toolbar } from "./toolbar.js";
import { text } from "./texts.js";
import { World } from "./world.js";
import { billboard, disposeObject, groundGrid } from "./props.js";
import { keepNear, mapCorner, overview, readColors, sees, savePicture, toggleFullscreen } from "./view.js";

const EMPTY = { cameras: [], aspect: 704 / 480, seconds: 6, picture: null, picture_index: 0, keyframes: null, recording: false, note: "", play: false, height: 480 };
const SLOWEST_FRAME_MS = 100; // below ten frames per second a moving scene is worse than a static one
const FRAMES_TO_WARM_UP = 5; // shaders are compiled and splats sorted for the first time
const FRAMES_TO_JUDGE = 10;
const FRAMES_TO_SORT = 3;
const calm = matchMedia("(prefers-reduced-motion: reduce)");

export class Stage {
  /** `onKeyframes(state)` is called after every change of the recorded list. */
  constructor(root, { onKeyframes }) {
    this.root = root;
    this.records = root.dataset.origin !== "alone"; // a standalone page has no form to send a path to
    this.overlay = new Overlay(() => this.reset(), this.records);
    this.canvas = this.overlay.canvas;
    this.world = new World(this.canvas, (seconds) => this.#frame(seconds), root.dataset.origin === "path"); // throws NoWebGL before the page changes
    this.state = EMPTY;
    this.path = new CameraPath();
    this.player = new Player();
    this.slot = new SceneSlot(this.world, this.overlay);
    this.#buildParts(onKeyframes);
    root.replaceChildren(this.overlay.element, this.toolbar.element, ...(this.records ? [this.recorder.element] : []));
    this.#watchSurroundings();
    this.setState(EMPTY);
  }

  #buildParts(onKeyframes) {
    this.keyframes = new Keyframes((state) => {
      this.recorder.draw();
      onKeyframes(state);
    });
    this.recorder = new Recorder(this.keyframes, {
      view: () => this.viewAsKeyframe(),
      goTo: (key) => this.goTo(key),
      say: (text) => this.overlay.say(text),
    });
    const act = (action) => () => action.call(this);
    this.toolbar = new Toolbar({
      play: act(this.togglePlay), scrub: (place) => this.scrubTo(place), reset: act(this.reset),
      lens: act(this.toggleLens), frusta: act(this.toggleFrusta), fly: act(this.toggleFly),
      snapshot: () => savePicture(this), fullscreen: () => toggleFullscreen(this.root),
    }, this.root.dataset.origin === "path"); // inside a scene they would obstruct the view
    const record = () => this.records && this.recorder.add();
    this.controls = new Controls(this.canvas, this.world.camera, {
      onMove: () => this.#moved(),
      commands: { KeyK: record, Space: record, KeyP: act(this.togglePlay), KeyR: act(this.reset) },
    });
  }

  #watchSurroundings() {
    this.sizes = new ResizeObserver(() => {
      if (!this.root.isConnected) this.dispose();
      else {
        this.world.setSize(this.canvas.clientWidth, this.canvas.clientHeight);
        this.slot.match(this.state.height);
      }
    });
    this.sizes.observe(this.canvas);
    this.theme = new MutationObserver(() => this.#recolor());
    this.theme.observe(document.body, { attributes: true, attributeFilter: ["class"] });
    this.abort = new AbortController();
    calm.addEventListener("change", () => calm.matches && this.player.swings && this.togglePlay(), { signal: this.abort.signal });
    this.canvas.addEventListener("webglcontextlost", (event) => {
      event.preventDefault();
      if (this.world.renderer) this.overlay.fail(text("viewer.lost"));
    });
    this.#recolor();
  }

  #recolor() {
    this.colors = readColors(this.root);
    this.world.setBackground(this.colors.background);
    if (this.frusta) this.#drawPath();
  }

  /** Show another path, picture or list of keyframes; the scene itself comes through `setScene`. */
  async setState(state) {
    this.overlay.refuse(state.refused ? text(state.refused) : "");
    if (state.refused) return; // the current drawing stays, dimmed
    this.state = { ...EMPTY, ...state };
    this.path = new CameraPath(this.state.cameras);
    this.world.aspect = this.state.aspect;
    this.player.reset(this.path.length, this.state.seconds);
    this.toolbar.setLength(this.path.length);
    this.toolbar.setPlaying(false);
    this.overlay.tell(this.state.note && text(this.state.note));
    if (!this.slot.mesh) this.overlay.showPoster(this.state.poster ?? null); // otherwise when the scene is replaced
    const { keyframes } = this.state;
    if (keyframes && keyframes.origin !== this.root.dataset.origin && this.keyframes.load(keyframes)) this.recorder.draw();
    if (this.state.recording) this.recorder.element.open = true;
    this.#drawPath();
    if (!this.touched) this.reset();
    await this.#drawPicture();
  }

  /** A button that loads a large scene, shown in its place. */
  async offer(text, onAccept) {
    await this.setScene(null);
    this.overlay.showPoster(this.state.poster ?? null);
    this.overlay.offer(text, onAccept);
  }

  /** A button that loads the full version of the displayed scene. */
  offerWhole(text, onAccept) {
    this.overlay.offerWhole(text, onAccept);
  }

  /** Replace the scene with another file of the same scene; view and playback are unchanged. */
  async replaceScene(file) {
    this.overlay.offerWhole(null);
    await this.slot.replace(file);
    this.slot.match(this.state.height);
  }

  /** Load a scene file `{url, kind, bytes}`, or remove the current one with null. */
  async setScene(file) {
    this.overlay.offer(null);
    this.overlay.offerWhole(null);
    this.overlay.showPoster(file ? this.state.poster ?? null : null);
    if (!(await this.slot.show(file))) return;
    this.drawnAfter = this.world.frames + FRAMES_TO_SORT;
    if (!this.slot.mesh) this.overlay.showPoster(null);
    this.slot.match(this.state.height);
    this.#drawPath();
    await this.#drawPicture();
    this.touched = false;
    this.reset();
    if (this.slot.mesh && this.state.play && !calm.matches) this.#swing();
  }

  /** Move along the path until the visitor takes control, or the browser proves too slow. */
  #swing() {
    this.player.swing();
    this.judged = { frames: -FRAMES_TO_WARM_UP, since: 0 };
    this.toolbar.setPlaying(this.player.playing);
    this.world.invalidate();
  }

  #tooSlow() {
    if (!this.judged || !this.player.swings) return false;
    this.judged.frames += 1;
    if (this.judged.frames === 0) this.judged.since = performance.now();
    if (this.judged.frames < FRAMES_TO_JUDGE) return false;
    const each = (performance.now() - this.judged.since) / this.judged.frames;
    this.judged = null;
    return each > SLOWEST_FRAME_MS;
  }

  get unit() {
    return Math.max(this.path.extent, 0.4);
  }

  #drawPath() {
    this.frusta?.removeFromParent();
    this.frusta?.dispose();
    disposeObject(this.grid);
    const size = 0.16 * this.unit;
    this.frusta = new Frusta(this.path, { aspect: this.state.aspect, size, colors: this.colors });
    this.grid = groundGrid(this.path, this.unit, this.colors);
    this.grid.visible = !this.slot.mesh;
    this.world.scene.add(this.frusta, this.grid);
    this.#applyVisibility();
    if (this.path.length) this.frusta.mark(this.path.at(this.player.place));
    this.world.invalidate();
  }

  async #drawPicture() {
    disposeObject(this.picture);
    this.picture = null;
    const { picture, picture_index: index, aspect } = this.state;
    if (!picture || this.slot.mesh || !this.path.length) return this.world.invalidate();
    const made = await billboard(picture, this.path.at(index), aspect, 1.6 * this.unit);
    if (this.state.picture !== picture || this.picture || !made) return disposeObject(made);
    this.picture = made;
    this.world.scene.add(made);
    this.world.invalidate();
  }

  #applyVisibility() {
    const shown = this.toolbar.frusta.getAttribute("aria-pressed") === "true";
    this.frusta.visible = shown && !this.lens && this.path.length > 0;
    this.world.invalidate();
  }

  /** Back to the initial view: the picture's camera in a scene, all cameras from outside on the empty stage. */
  reset() {
    this.touched = false;
    this.controls.unit = this.unit;
    this.world.camera.near = (this.slot.mesh ? 0.01 : 0.3) * this.unit; // hides frusta at the viewer's own position
    if (this.slot.mesh && this.path.length) {
      this.controls.reach = this.state.focus_distance ?? 1.5 * this.unit;
      this.#look(this.path.at(this.state.picture_index));
    } else if (this.path.length) {
      const { view, reach } = overview(this.path, this.unit, Boolean(this.state.picture));
      this.controls.reach = reach;
      this.#look(view);
    } else this.#look({ position: { x: 0, y: 0, z: 0 }, quaternion: { x: 0, y: 0, z: 0, w: 1 }, fov: 60 });
    this.#setLens(false);
  }

  #look({ position, quaternion, fov }) {
    this.overlay.strain(0);
    this.world.camera.position.copy(position);
    this.world.camera.quaternion.copy(quaternion);
    this.world.setFov(fov);
    this.world.invalidate();
  }

  goTo({ position, quat_wxyz: [w, x, y, z], fov_y_deg: fov }) {
    const [px, py, pz] = position;
    this.touched = true;
    this.#setLens(false);
    this.#look({ position: { x: px, y: py, z: pz }, quaternion: { x, y, z, w }, fov });
  }

  viewAsKeyframe() {
    const { position: p, quaternion: q } = this.world.camera;
    const round = (value) => Math.round(value * 1e6) / 1e6;
    return {
      position: [p.x, p.y, p.z].map(round), quat_wxyz: [q.w, q.x, q.y, q.z].map(round), fov_y_deg: round(this.world.fov),
    };
  }

  #moved() {
    this.touched = true;
    if (this.player.playing) this.togglePlay();
    if (this.lens) this.#setLens(false);
    if (this.slot.mesh && this.path.length) {
      const reach = Math.max(this.state.focus_distance ?? this.unit, this.unit);
      this.overlay.strain(keepNear(this.world.camera, this.path, reach));
    }
    this.world.invalidate();
  }

  scrubTo(place) {
    if (this.player.swings) this.togglePlay();
    this.player.place = place;
    this.#showPlace();
  }

  #showPlace() {
    const view = this.path.at(this.player.place);
    this.toolbar.setPlace(this.player.place);
    this.frusta.mark(view);
    if (this.lens || this.slot.mesh) {
      this.#setLens(true);
      this.#look(view);
    }
    this.world.invalidate();
  }

  togglePlay() {
    if (this.path.length < 2) return;
    this.player.toggle();
    this.toolbar.setPlaying(this.player.playing);
    this.world.invalidate();
  }

  #setLens(on) {
    this.lens = on;
    this.toolbar.press(this.toolbar.lens, on);
    if (this.frusta) this.#applyVisibility();
  }

  toggleLens() {
    if (this.lens) return this.reset();
    this.#setLens(true);
    this.#showPlace();
  }

  toggleFrusta() {
    const on = this.toolbar.frusta.getAttribute("aria-pressed") !== "true";
    this.toolbar.press(this.toolbar.frusta, on);
    this.#applyVisibility();
  }

  toggleFly() {
    this.controls.mode = this.controls.mode === "fly" ? "orbit" : "fly";
    this.toolbar.press(this.toolbar.fly, this.controls.mode === "fly");
  }

  /** While a path is being recorded, a map of it in a corner whenever the view does not show all of it. */
  #drawMap() {
    const recorded = this.keyframes.list.length > 1 && this.root.dataset.origin === "path" && this.path.length > 1;
    this.world.inset = recorded && !sees(this.world.camera, this.path) ? mapCorner(this.path, this.unit) : null;
  }

  /** One frame of movement; true while something keeps moving. */
  #frame(seconds) {
    this.#drawMap();
    const hidden = this.slot.mesh && this.overlay.postered; // by the poster, until its splats are sorted
    if (hidden && this.world.frames >= this.drawnAfter) this.overlay.showPoster(null);
    const flying = this.controls.step(seconds);
    if (this.#tooSlow()) this.togglePlay();
    const playing = this.player.advance(seconds);
    if (playing) this.#showPlace();
    else if (this.wasPlaying && !this.player.playing) this.toolbar.setPlaying(false);
    this.wasPlaying = playing;
    return flying || playing || hidden;
  }

  dispose() {
    if (this.disposed) return;
    this.disposed = true;
    this.sizes.disconnect();
    this.theme.disconnect();
    this.abort.abort();
    this.controls.dispose();
    this.slot.dispose();
    this.frusta.dispose();
    for (const object of [this.grid, this.picture]) disposeObject(object);
    this.world.dispose();
  }
}
