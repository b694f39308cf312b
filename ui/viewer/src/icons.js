// Line icons, 24 x 24, drawn for this page.
const PATHS = {
  play: "M8 5.5v13l10.5-6.5z",
  pause: "M8 5.5v13M16 5.5v13",
  reset: "M4.5 12a7.5 7.5 0 1 0 2.4-5.5M4.5 4.5v4h4",
  frusta: "M4 12 19 5v14zM19 5l-9 7 9 7",
  eye: "M2.5 12S6 5.8 12 5.8 21.5 12 21.5 12 18 18.2 12 18.2 2.5 12 2.5 12zM12 14.6a2.6 2.6 0 1 0 0-5.2 2.6 2.6 0 0 0 0 5.2z",
  fly: "M3.5 12.5 20.5 4l-5 16.5-3.6-6.4zM11.9 14.1 20.5 4",
  camera: "M4 8h3.5L9 5.5h6L16.5 8H20v11H4zM12 16.500a3.2 3.2 0 1 0 0-6.4 3.2 3.2 0 0 0 0 6.400z",
  full: "M4.5 9V4.500H9M15 4.500h4.500V9M19.5 15v4.500H15M9 19.500H4.500V15",
  record: "M12 18.500a6.5 6.5 0 1 0 0-13 6.5 6.5 0 0 0 0 13z",
  undo: "M9 14.5 4.5 10 9 5.500M4.5 10H15a4.5 4.5 0 0 1 0 9h-3",
  trash: "M5 7h14M10 7V4.500h4V7M7 7l.8 12.500h8.400L17 7",
  up: "M12 19V5M6.5 10.5 12 5l5.5 5.5",
  down: "M12 5v14M6.5 13.5 12 19l5.5-5.5",
  swap: "M4.5 12a7.5 7.5 0 0 1 13-5M19.5 12a7.5 7.5 0 0 1-13 5M17.5 3v4h-4M6.5 21v-4h4",
};

export const icon = (name) =>
  `<svg viewBox="0 0 24 24" width="18" height="18" aria-hidden="true" fill="none" stroke="currentColor" ` +
  `stroke-width="1.7" stroke-linecap="round" stroke-linejoin="round"><path d="${PATHS[name]}"/></svg>`;

/** A button with an icon, a name for screen readers and a tooltip. */
export function iconButton(name, label, onClick, { toggle = null } = {}) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "fw-icon";
  button.innerHTML = icon(name);
  button.title = label;
  button.setAttribute("aria-label", label);
  if (toggle !== null) button.setAttribute("aria-pressed", String(toggle));
  button.addEventListener("click", () => onClick(button));
  return button;
}
