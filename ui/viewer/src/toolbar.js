// The row under the canvas: play, scrub, toggles.
import { icon, iconButton } from "./icons.js";
import { text } from "./texts.js";

export class Toolbar {
  /** `actions`: play, scrub(place), reset, lens, frusta, fly, snapshot, fullscreen. */
  constructor(actions, showCameras) {
    this.element = document.createElement("div");
    this.element.className = "fw-toolbar";
    this.element.setAttribute("role", "toolbar");
    this.element.setAttribute("aria-label", text("viewer.name"));
    this.play = iconButton("play", text("viewer.play"), actions.play);
    this.scrub = document.createElement("input");
    Object.assign(this.scrub, { type: "range", min: 0, max: 1, step: 0.01, value: 0, className: "fw-scrub" });
    this.scrub.setAttribute("aria-label", text("viewer.place"));
    this.scrub.addEventListener("input", () => actions.scrub(Number(this.scrub.value)));
    this.place = document.createElement("output");
    this.place.className = "fw-place";
    const toggle = (name, label, action, on) => iconButton(name, label, action, { toggle: on });
    this.lens = toggle("eye", text("viewer.look"), actions.lens, false);
    this.frusta = toggle("frusta", text("viewer.cameras"), actions.frusta, showCameras);
    this.fly = toggle("fly", text("viewer.fly"), actions.fly, false);
    this.buttons = [
      iconButton("reset", text("viewer.reset"), actions.reset), this.lens, this.frusta, this.fly,
      iconButton("camera", text("viewer.save"), actions.snapshot),
      iconButton("full", text("viewer.full"), actions.fullscreen),
    ];
    this.element.append(this.play, this.scrub, this.place, ...this.buttons);
  }

  /** Set the length of the path; a path of fewer than two cameras cannot be played. */
  setLength(count) {
    this.scrub.max = Math.max(1, count - 1);
    this.count = count;
    for (const part of [this.play, this.scrub, this.lens, this.frusta]) part.disabled = count < 2;
    this.setPlace(0);
  }

  setPlace(place) {
    this.scrub.value = place;
    const [camera, cameras] = [Math.round(place) + 1, this.count];
    this.place.textContent = cameras > 1 ? `${camera} / ${cameras}` : text("viewer.no_path");
    this.scrub.setAttribute("aria-valuetext", cameras > 1 ? text("viewer.camera_of", { camera, cameras }) : text("viewer.no_path"));
  }

  setPlaying(playing) {
    const label = text(playing ? "viewer.pause" : "viewer.play");
    this.play.innerHTML = icon(playing ? "pause" : "play");
    this.play.title = label;
    this.play.setAttribute("aria-label", label);
  }

  press(button, on) {
    button.setAttribute("aria-pressed", String(on));
  }
}
