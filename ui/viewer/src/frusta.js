// Cameras drawn as wire pyramids, the path through them as a line, and one bright pyramid for the current place.
import { BufferGeometry, Float32BufferAttribute, Group, Line, LineBasicMaterial, LineSegments, Vector3 } from "three";

const EDGES = [0, 1, 0, 2, 0, 3, 0, 4, 1, 2, 2, 3, 3, 4, 4, 1, 5, 6];

/** Corners of a camera's pyramid in its own axes: eye, four image corners, and a tick that marks "up". */
function pyramid(fov, aspect, depth) {
  const half = Math.tan((fov * Math.PI) / 360) * depth;
  const [x, y] = [half * aspect, half];
  return [
    [0, 0, 0], [-x, -y, -depth], [x, -y, -depth], [x, y, -depth], [-x, y, -depth],
    [0, y, -depth], [0, 1.35 * y, -depth],
  ].map((corner) => new Vector3(...corner));
}

function edges(views, aspect, depth) {
  const points = [];
  for (const view of views) {
    const corners = pyramid(view.fov, aspect, depth).map((c) => c.applyQuaternion(view.quaternion).add(view.position));
    for (const index of EDGES) points.push(...corners[index].toArray());
  }
  return points;
}

const geometryOf = (points) => new BufferGeometry().setAttribute("position", new Float32BufferAttribute(points, 3));

export class Frusta extends Group {
  constructor(path, { aspect, size, colors }) {
    super();
    this.aspect = aspect;
    this.size = size;
    const dim = new LineBasicMaterial({ color: colors.line, transparent: true, opacity: 0.5 });
    const track = new LineBasicMaterial({ color: colors.accent });
    const bright = new LineBasicMaterial({ color: colors.accent, depthTest: false });
    this.add(new LineSegments(geometryOf(edges(path.views, aspect, size)), dim));
    this.add(new Line(geometryOf(path.views.flatMap((view) => view.position.toArray())), track));
    this.current = new LineSegments(new BufferGeometry(), bright);
    this.current.renderOrder = 2;
    this.add(this.current);
    for (const part of this.children) part.frustumCulled = false;
  }

  /** Move the bright pyramid to a view. */
  mark(view) {
    this.current.geometry.dispose();
    this.current.geometry = geometryOf(edges([view], this.aspect, this.size * 1.25));
  }

  dispose() {
    for (const part of this.children) {
      part.geometry.dispose();
      part.material.dispose();
    }
  }
}
