// Builds ui/assets/static/: viewer.js (our stage and three), splats.js (Spark, fetched only when a scene is shown),
// the chunk they share, and the licences. Run: npm ci && npm run build
import { build } from "esbuild";
import { copyFile, mkdir, readdir, rm, stat } from "node:fs/promises";

const out = new URL("../assets/static/", import.meta.url);
await mkdir(out, { recursive: true });
for (const name of await readdir(out)) {
  if (name.endsWith(".js")) await rm(new URL(name, out));
}
await build({
  entryPoints: { viewer: "src/index.js", splats: "src/splats.js" },
  bundle: true,
  splitting: true,
  minify: true,
  format: "esm",
  target: ["es2022"],
  outdir: out.pathname,
  chunkNames: "shared",
  legalComments: "none",
});
await copyFile("node_modules/@sparkjsdev/spark/LICENSE", new URL("LICENSE-spark", out));
await copyFile("node_modules/three/LICENSE", new URL("LICENSE-three", out));
await copyFile("node_modules/fflate/LICENSE", new URL("LICENSE-fflate", out));
for (const name of (await readdir(out)).sort()) {
  const { size } = await stat(new URL(name, out));
  console.log(`${String(size).padStart(9)}  ${name}`);
}
