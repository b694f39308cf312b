// Camera controls: mouse, touch and keys. They are inactive unless the canvas has the focus, so text boxes and
// scrolling of the page keep working; Escape releases the focus.
import { Quaternion, Vector3 } from "three";

const UP = new Vector3(0, 1, 0);
const RIGHT = new Vector3(1, 0, 0);
const TURN_PER_PX = 0.005;
const TAP_PX = 10;
const KEY_TURN_PER_S = 1.0;
const MOVES = {
  KeyW: [0, 0, -1], KeyS: [0, 0, 1], KeyA: [-1, 0, 0], KeyD: [1, 0, 0], KeyQ: [0, -1, 0], KeyE: [0, 1, 0],
};
const TURNS = { ArrowLeft: [1, 0], ArrowRight: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };

export class Controls {
  /** `commands` maps key codes to functions; `onMove` is called after every change of the camera. */
  constructor(canvas, camera, { onMove, commands }) {
    Object.assign(this, { canvas, camera, onMove, commands });
    this.mode = "orbit";
    this.unit = 1;
    this.fast = false;
    this.reach = 2;
    this.keys = new Set();
    this.pointers = new Map();
    this.tap = null;
    this.abort = new AbortController();
    const listen = (type, handler, options = {}) =>
      canvas.addEventListener(type, handler.bind(this), { signal: this.abort.signal, ...options });
    listen("pointerdown", this.#down);
    listen("pointermove", this.#drag);
    for (const type of ["pointerup", "pointercancel"]) listen(type, this.#up);
    listen("wheel", this.#wheel, { passive: false });
    listen("keydown", this.#keydown);
    listen("keyup", (event) => {
      this.keys.delete(event.code);
      this.fast = event.shiftKey;
    });
    listen("blur", () => this.keys.clear());
    document.addEventListener("pointerdown", (event) => this.#elsewhere(event), { signal: this.abort.signal });
    listen("contextmenu", (event) => this.focused && event.preventDefault());
    listen("dragstart", (event) => event.preventDefault());
  }

  get focused() {
    return document.activeElement === this.canvas;
  }

  dispose() {
    this.abort.abort();
  }

  #down(event) {
    if (event.pointerType === "touch" && !this.focused) {
      this.tap = { id: event.pointerId, x: event.clientX, y: event.clientY };
      return; // a first tap focuses; until then a swipe scrolls
    }
    this.canvas.setPointerCapture(event.pointerId);
    this.pointers.set(event.pointerId, { x: event.clientX, y: event.clientY, button: event.button });
  }

  /** A touch outside the stage re-enables scrolling of the page, also in browsers where touches do not move the focus. */
  #elsewhere(event) {
    if (event.pointerType === "touch" && !this.canvas.closest(".fw-stage")?.contains(event.target)) this.canvas.blur();
  }

  #up(event) {
    this.pointers.delete(event.pointerId);
    const { tap } = this;
    this.tap = null;
    if (!tap || tap.id !== event.pointerId || event.type !== "pointerup") return; // a swipe ends in pointercancel
    const moved = Math.hypot(event.clientX - tap.x, event.clientY - tap.y);
    if (moved < TAP_PX) this.canvas.focus({ preventScroll: true }); // immediately, without waiting for mouse events
  }

  #drag(event) {
    const last = this.pointers.get(event.pointerId);
    if (!last || !this.focused) return;
    const [dx, dy] = [event.clientX - last.x, event.clientY - last.y];
    if (this.pointers.size >= 2) this.#pinch(event, last, dx, dy);
    else if (last.button === 2 || last.button === 1 || event.ctrlKey) this.pan(dx, dy);
    else this.turn(-dx * TURN_PER_PX, -dy * TURN_PER_PX);
    this.pointers.set(event.pointerId, { ...last, x: event.clientX, y: event.clientY });
  }

  #pinch(event, last, dx, dy) {
    const [, other] = [...this.pointers].find(([id]) => id !== event.pointerId);
    const before = Math.hypot(last.x - other.x, last.y - other.y);
    const after = Math.hypot(event.clientX - other.x, event.clientY - other.y);
    this.dolly((after - before) / 150);
    this.pan(dx / 2, dy / 2);
  }

  #wheel(event) {
    if (!this.focused) return;
    event.preventDefault();
    this.dolly(-Math.sign(event.deltaY) * Math.min(Math.abs(event.deltaY), 120) / 600);
  }

  #keydown(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    this.fast = event.shiftKey;
    if (event.code === "Escape") this.canvas.blur();
    else if (event.code in MOVES || event.code in TURNS) {
      this.keys.add(event.code);
      this.onMove();
    } else if (event.code in this.commands) {
      if (!event.repeat) this.commands[event.code]();
    } else return;
    event.preventDefault();
  }

  /** Look around (fly) or orbit the point `reach` ahead (orbit); radians. */
  turn(yaw, pitch) {
    const { camera } = this;
    const sign = this.mode === "fly" ? -1 : 1;
    const spin = new Quaternion().setFromAxisAngle(UP, sign * yaw);
    const tilt = new Quaternion().setFromAxisAngle(RIGHT.clone().applyQuaternion(camera.quaternion), sign * pitch);
    const tilted = tilt.clone().multiply(camera.quaternion);
    if (UP.clone().applyQuaternion(tilted).y < 0.02) tilt.identity();
    const both = spin.multiply(tilt);
    if (this.mode === "orbit") {
      const pivot = new Vector3(0, 0, -this.reach).applyQuaternion(camera.quaternion).add(camera.position);
      camera.position.sub(pivot).applyQuaternion(both).add(pivot);
    }
    camera.quaternion.premultiply(both).normalize();
    this.onMove();
  }

  pan(dx, dy) {
    const perPx = (2 * this.reach * Math.tan((this.camera.fov * Math.PI) / 360)) / this.canvas.clientHeight;
    this.#shift(new Vector3(-dx * perPx, dy * perPx, 0));
  }

  /** Move closer by a fraction of the distance to the pivot. */
  dolly(amount) {
    const step = amount * Math.max(this.reach, 0.2 * this.unit);
    this.#shift(new Vector3(0, 0, -step));
    if (this.mode === "orbit") this.reach = Math.max(0.05 * this.unit, this.reach - step);
  }

  #shift(local) {
    this.camera.position.add(local.applyQuaternion(this.camera.quaternion));
    this.onMove();
  }

  /** Apply the keys held down; true if the camera moved. `seconds` since the last frame. */
  step(seconds) {
    if (!this.keys.size) return false;
    const speed = this.unit * (this.fast ? 2.4 : 0.6) * seconds;
    const local = new Vector3();
    for (const code of this.keys) {
      if (code in MOVES) local.add(new Vector3(...MOVES[code]));
      else this.turn(...TURNS[code].map((way) => -way * KEY_TURN_PER_S * seconds));
    }
    if (local.lengthSq()) this.#shift(local.normalize().multiplyScalar(speed));
    return true;
  }
}
