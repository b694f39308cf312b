// The recorded keyframes: a plain list with undo, independent of the page and of WebGL.

const HISTORY = 100;
export const MAX_KEYFRAMES = 64;

export class Keyframes {
  constructor(onChange) {
    this.onChange = onChange;
    this.state = { keyframes: [], mode: "spline", loop: false };
    this.past = [];
  }

  get list() {
    return this.state.keyframes;
  }

  #commit(next) {
    this.past.push(this.state);
    if (this.past.length > HISTORY) this.past.shift();
    this.state = { ...this.state, ...next };
    this.onChange(this.state);
  }

  add(key) {
    if (this.list.length >= MAX_KEYFRAMES) return false;
    this.#commit({ keyframes: [...this.list, key] });
    return true;
  }

  replace(index, key) {
    this.#commit({ keyframes: this.list.map((old, i) => (i === index ? { ...key } : old)) });
  }

  setFov(index, fov) {
    this.replace(index, { ...this.list[index], fov_y_deg: fov });
  }

  remove(index) {
    this.#commit({ keyframes: this.list.filter((_, i) => i !== index) });
  }

  move(index, step) {
    const target = index + step;
    if (target < 0 || target >= this.list.length) return;
    const keyframes = [...this.list];
    [keyframes[index], keyframes[target]] = [keyframes[target], keyframes[index]];
    this.#commit({ keyframes });
  }

  clear() {
    if (this.list.length) this.#commit({ keyframes: [] });
  }

  setMode(mode) {
    this.#commit({ mode });
  }

  setLoop(loop) {
    this.#commit({ loop });
  }

  undo() {
    if (!this.past.length) return;
    this.state = this.past.pop();
    this.onChange(this.state);
  }

  /** Load a list from elsewhere (the other stage, an upload), without an event; can be undone. */
  load({ keyframes, mode, loop }) {
    const state = { keyframes, mode, loop };
    if (JSON.stringify(state) === JSON.stringify(this.state)) return false;
    this.past.push(this.state);
    this.state = state;
    return true;
  }
}
