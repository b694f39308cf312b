// Generate and Stop take each other's place; the keyboard's focus goes along instead of falling back to the page's top.
// Only the keyboard's: who clicked and then presses Space to scroll must not press Stop.
{
  const buttons = ["fw-generate", "fw-stop"];
  const shown = (element) => element && element.offsetParent !== null;
  let last = null;
  const follow = () => {
    const lost = document.activeElement === document.body || document.activeElement?.id === last;
    if (!last || !lost || shown(document.getElementById(last))) return;
    const other = document.getElementById(buttons.find((id) => id !== last));
    if (shown(other)) other.focus({ preventScroll: true });
  };
  const observer = new MutationObserver(follow);
  document.addEventListener("focusin", ({ target }) => {
    last = buttons.includes(target.id) && target.matches(":focus-visible") ? target.id : null;
    if (last) observer.observe(target.parentElement, { subtree: true, childList: true, attributes: true });
  });
}
