// A number typed beyond a slider's end becomes the end while it is typed, before anybody is told; one below the low end
// may be the beginning of a larger one, and is put right when the box is left.
document.addEventListener("input", ({ target }) => {
  if (!target.matches?.("input[type=number][max]") || target.value === "") return;
  if (Number(target.value) > Number(target.max)) target.value = target.max;
}, { capture: true });
