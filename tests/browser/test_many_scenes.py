"""Many scenes in succession on one page: memory, WebGL contexts (a browser gives sixteen) and animation loops do not grow in number."""

from __future__ import annotations

from steps import (
    SCENE_STAGE,
    SMALL,
    generate,
    generate_and_wait,
    open_plain,
    open_tab,
    show_scene,
    stage_js,
    wait_for_result,
)

CONTEXTS_JS = """() => {
  window.contexts = new Set();
  const get = HTMLCanvasElement.prototype.getContext;
  HTMLCanvasElement.prototype.getContext = function (kind, ...rest) {
    const context = get.call(this, kind, ...rest);
    if (context && kind.startsWith("webgl")) window.contexts.add(context);
    return context;
  };
}"""
COUNT_JS = """async () => {
  for (let k = 0; k < 2; k += 1) { gc(); await new Promise((r) => setTimeout(r, 100)); }
  const live = [...window.contexts].filter((c) => !c.isContextLost()).length;
  return [live, document.querySelectorAll("canvas").length, document.querySelectorAll("*").length, performance.memory.usedJSHeapSize];
}"""
SETTLED, LAST = 2, 9
HEAP_BYTES_A_SCENE = 1e6
"""Files, shaders and workers of the first scenes come once; then a page may keep less than this of each."""


def test_ten_generations_in_a_row_each_seen_in_both_viewers(visit):
    page = visit(viewport=SMALL)
    page.evaluate(CONTEXTS_JS)
    counts = []
    for seed in range(LAST + 1):
        generate(page, "a room", seed)
        wait_for_result(page)
        page.wait_for_selector("#fw-generate:not(.hidden)")
        show_scene(page)
        with page.expect_response(lambda answer: "plain.splat" in answer.url):
            open_plain(page)
        open_tab(page, "Film")
        counts.append(page.evaluate(COUNT_JS))
    for settled, last in zip(counts[SETTLED][:3], counts[LAST][:3], strict=True):
        assert last <= settled, counts
    assert counts[LAST][3] - counts[SETTLED][3] < (LAST - SETTLED) * HEAP_BYTES_A_SCENE, counts


def test_loading_a_scene_repeatedly_does_not_grow_memory(visit):
    page = visit()
    generate_and_wait(page)
    show_scene(page)
    measure = f"""(async () => {{ const s = {stage_js(SCENE_STAGE)}; const {{ url }} = s.slot;
      for (let i = 0; i < 5; i += 1) {{ await s.setScene({{ url, kind: "spz", bytes: 0 }}); s.world.draw(); }}
      gc(); await new Promise((r) => setTimeout(r, 300)); gc();
      const i = s.world.renderer.info.memory;
      return [performance.memory.usedJSHeapSize, i.geometries, i.textures, document.querySelectorAll("canvas").length]; }})()"""
    before = [page.evaluate(measure) for _ in range(2)]  # shaders, workers, Spark's three buffers in turn
    after = [page.evaluate(measure) for _ in range(2)]
    assert min(row[0] for row in after) < 1.05 * max(row[0] for row in before) + 1e6
    spark_buffers = 3
    for kind in (1, 2, 3):
        assert max(row[kind] for row in after) <= max(row[kind] for row in before) + spark_buffers
