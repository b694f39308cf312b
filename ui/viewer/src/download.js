// Fetch a scene with progress and readable error messages.
import { text } from "./texts.js";

export class SceneError extends Error {}

/** Bytes of a file; `onProgress(loaded, total)` with total 0 when unknown. Throws SceneError with a readable text. */
export async function download(url, { signal, onProgress }) {
  let response;
  try {
    response = await fetch(url, { signal });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new SceneError(text("viewer.unreachable"));
  }
  if (!response.ok) {
    const gone = [403, 404].includes(response.status);
    throw new SceneError(gone ? text("viewer.gone") : text("viewer.refused", { status: response.status }));
  }
  const total = Number(response.headers.get("content-length")) || 0;
  const reader = response.body.getReader();
  const parts = [];
  let loaded = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    parts.push(value);
    loaded += value.length;
    onProgress(loaded, total);
  }
  const bytes = new Uint8Array(loaded);
  let offset = 0;
  for (const part of parts) {
    bytes.set(part, offset);
    offset += part.length;
  }
  return bytes;
}

/** Reject data that is certainly not a scene before parsing it. */
export function checkSceneBytes(bytes, kind) {
  const starts = (...head) => head.every((value, index) => bytes[index] === value);
  const good = { ply: starts(0x70, 0x6c, 0x79), spz: starts(0x1f, 0x8b), splat: bytes.length % 32 === 0 }[kind];
  if (!bytes.length || !good) throw new SceneError(text("viewer.damaged"));
}
