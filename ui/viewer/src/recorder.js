// The keyframe panel: one row per keyframe, and buttons that also work without a keyboard.
import { icon, iconButton } from "./icons.js";
import { MAX_KEYFRAMES } from "./keyframes.js";
import { text } from "./texts.js";

const html = (code) => Object.assign(document.createElement("template"), { innerHTML: code }).content.firstElementChild;

export class Recorder {
  /** `keyframes` is the list, `view()` the camera as a keyframe, `goTo(key)` moves there, `say(text)` announces. */
  constructor(keyframes, { view, goTo, say }) {
    Object.assign(this, { keyframes, view, goTo, say });
    this.element = html(
      `<details class="fw-recorder"><summary>${text("record.title")} <output></output></summary></details>`);
    this.rows = html(`<ol class="fw-keys"></ol>`);
    this.head = this.#head();
    this.empty = html(`<p class="fw-hint">${text("record.hint")}</p>`);
    this.element.append(this.head, this.empty, this.rows);
    this.draw();
  }

  #head() {
    const head = html(`<div class="fw-recorder-head"></div>`);
    this.addButton = html(`<button type="button" class="fw-add">${icon("record")} ${text("record.add")}</button>`);
    this.addButton.addEventListener("click", () => this.add());
    this.mode = html(
      `<select aria-label="${text("record.between")}"><option value="spline">${text("record.spline")}</option>` +
      `<option value="linear">${text("record.linear")}</option></select>`);
    this.mode.addEventListener("change", () => this.keyframes.setMode(this.mode.value));
    const loop = html(`<label class="fw-check"><input type="checkbox"> ${text("record.loop")}</label>`);
    this.loop = loop.firstElementChild;
    this.loop.addEventListener("change", () => this.keyframes.setLoop(this.loop.checked));
    this.undo = iconButton("undo", text("record.undo"), () => this.keyframes.undo());
    this.clear = iconButton("trash", text("record.clear"), () => this.keyframes.clear());
    head.append(this.addButton, this.mode, loop, this.undo, this.clear);
    return head;
  }

  add() {
    const added = this.keyframes.add(this.view());
    this.say(added ? text("record.added", { number: this.keyframes.list.length }) : text("record.most", { most: MAX_KEYFRAMES }));
  }

  #row(key, index) {
    const row = html(`<li><button type="button" class="fw-goto"></button></li>`);
    const said = (key) => text(key, { number: index + 1 });
    row.firstElementChild.textContent = said("record.key");
    row.firstElementChild.setAttribute("aria-label", said("record.go"));
    row.firstElementChild.addEventListener("click", () => this.goTo(key));
    const fov = html(`<label class="fw-fov"><input type="number" min="5" max="150" step="1"><span>°</span></label>`);
    fov.title = text("record.fov");
    fov.firstElementChild.value = Math.round(key.fov_y_deg * 10) / 10;
    fov.firstElementChild.setAttribute("aria-label", said("record.fov_of"));
    fov.firstElementChild.addEventListener("change", (event) => {
      const value = Number(event.target.value);
      this.keyframes.setFov(index, Math.min(150, Math.max(5, Number.isFinite(value) && value ? value : key.fov_y_deg)));
    });
    const last = this.keyframes.list.length - 1;
    const up = iconButton("up", said("record.up"), () => this.keyframes.move(index, -1));
    const down = iconButton("down", said("record.down"), () => this.keyframes.move(index, 1));
    up.disabled = index === 0;
    down.disabled = index === last;
    row.append(
      fov, iconButton("swap", said("record.replace"), () => this.keyframes.replace(index, this.view())),
      up, down, iconButton("trash", said("record.delete"), () => this.keyframes.remove(index)));
    return row;
  }

  draw() {
    const { list, state, past } = this.keyframes;
    const focus = this.rows.contains(document.activeElement) && document.activeElement.getAttribute("aria-label");
    this.rows.replaceChildren(...list.map((key, index) => this.#row(key, index)));
    if (focus) (this.rows.querySelector(`[aria-label="${focus}"]:enabled`) ?? this.addButton).focus();
    this.element.querySelector("output").textContent = list.length ? text(list.length > 1 ? "record.count" : "record.count_one", { count: list.length }) : "";
    this.empty.hidden = list.length > 0;
    this.mode.value = state.mode;
    this.loop.checked = state.loop;
    this.undo.disabled = !past.length;
    this.clear.disabled = !list.length;
  }
}
