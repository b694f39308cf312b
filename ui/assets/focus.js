// Generate and Stop replace each other; the keyboard focus moves to the visible one instead of to the top of the page.
// Only for keyboard users: after a click, pressing Space to scroll must not press Stop.
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
