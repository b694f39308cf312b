// A number typed above a slider's maximum is clamped while typing, before any event fires; one below the minimum
// may be the beginning of a larger one, so it is clamped when the box loses the focus.
document.addEventListener("input", ({ target }) => {
  if (!target.matches?.("input[type=number][max]") || target.value === "") return;
  if (Number(target.value) > Number(target.max)) target.value = target.max;
}, { capture: true });
