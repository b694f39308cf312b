// Gradio's plain 3D viewer listens for W A S D on the window: keys typed in a text box must not reach it.
for (const type of ["keydown", "keyup"]) {
  document.addEventListener(type, (event) => {
    if (event.target.closest?.("input, textarea, select, [contenteditable]")) event.stopPropagation();
  });
}
