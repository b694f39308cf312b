// Objects on the empty stage: a ground grid, and the visitor's picture at its camera.
import {
  BufferGeometry, Color, DoubleSide, Float32BufferAttribute, LineBasicMaterial, LineSegments, Mesh, MeshBasicMaterial,
  PlaneGeometry, SRGBColorSpace, TextureLoader,
} from "three";

const GRID_CELLS = 10;

/** A square grid below the path that fades out; split into cell edges, because some drivers clip long lines badly. */
export function groundGrid(path, unit, colors) {
  const color = new Color(colors.grid);
  const [points, shades] = [[], []];
  const vertex = (x, z) => {
    points.push(x * unit, 0, z * unit);
    shades.push(color.r, color.g, color.b, Math.max(0, 1 - Math.hypot(x, z) / GRID_CELLS) ** 1.5);
  };
  for (let i = -GRID_CELLS; i <= GRID_CELLS; i += 1) {
    for (let j = -GRID_CELLS; j < GRID_CELLS; j += 1) {
      if (Math.hypot(i, j) > GRID_CELLS) continue;
      vertex(i, j), vertex(i, j + 1), vertex(j, i), vertex(j + 1, i);
    }
  }
  const geometry = new BufferGeometry()
    .setAttribute("position", new Float32BufferAttribute(points, 3))
    .setAttribute("color", new Float32BufferAttribute(shades, 4));
  const grid = new LineSegments(geometry, new LineBasicMaterial({ vertexColors: true, transparent: true, depthWrite: false }));
  const lowest = Math.min(0, ...path.views.map((view) => view.position.y));
  const ahead = path.length ? path.center().addScaledVector(path.forward(), 0.8 * unit) : { x: 0, z: 0 };
  grid.position.set(ahead.x, lowest - 0.7 * unit, ahead.z);
  return grid;
}

/** The picture, filling a camera's view at a distance. Resolves to null if the picture cannot be decoded. */
export async function billboard(url, view, aspect, distance) {
  const texture = await new TextureLoader().loadAsync(url).catch(() => null);
  if (!texture) return null;
  texture.colorSpace = SRGBColorSpace;
  const height = 2 * Math.tan((view.fov * Math.PI) / 360) * distance;
  const material = new MeshBasicMaterial({ map: texture, side: DoubleSide, toneMapped: false });
  const plane = new Mesh(new PlaneGeometry(height * aspect, height), material);
  plane.quaternion.copy(view.quaternion);
  plane.position.set(0, 0, -distance).applyQuaternion(view.quaternion).add(view.position);
  return plane;
}

export function disposeObject(object) {
  object?.parent?.remove(object);
  object?.geometry?.dispose();
  object?.material?.map?.dispose();
  object?.material?.dispose();
}
