// Cameras drawn as wire pyramids, the path through them as a line, and one bright pyramid at the current position.
import { BufferGeometry, CatmullRomCurve3, Float32BufferAttribute, Group, Line, LineBasicMaterial, LineSegments, Vector3 } from "three";

const STEPS_A_VIEW = 16;
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

/** Points of a smooth line through the cameras; straight segments would turn a spiral of eight views into a polygon. */
function track(views) {
  const places = views.map((view) => view.position.clone());
  const apart = places.filter((place, index) => !index || place.distanceTo(places[index - 1]) > 1e-9);
  if (apart.length < 3) return apart;
  const closed = apart[0].distanceTo(apart.at(-1)) < 1e-6;
  if (closed) apart.pop();
  return new CatmullRomCurve3(apart, closed, "centripetal").getPoints(STEPS_A_VIEW * apart.length);
}

const geometryOf = (points) => new BufferGeometry().setAttribute("position", new Float32BufferAttribute(points, 3));

export class Frusta extends Group {
  constructor(path, { aspect, size, colors }) {
    super();
    this.aspect = aspect;
    this.size = size;
    const dim = new LineBasicMaterial({ color: colors.line, transparent: true, opacity: 0.5 });
    const line = new LineBasicMaterial({ color: colors.accent });
    const bright = new LineBasicMaterial({ color: colors.accent, depthTest: false });
    this.add(new LineSegments(geometryOf(edges(path.views, aspect, size)), dim));
    this.add(new Line(geometryOf(track(path.views).flatMap((place) => place.toArray())), line));
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
