// A camera path: rows [x, y, z, qw, qx, qy, qz, fov_y_deg], camera-to-world, OpenGL axes, scene units.
import { MathUtils, Quaternion, Vector3 } from "three";

const toView = ([x, y, z, qw, qx, qy, qz, fov]) => ({
  position: new Vector3(x, y, z),
  quaternion: new Quaternion(qx, qy, qz, qw).normalize(),
  fov,
});

export class CameraPath {
  constructor(rows = []) {
    this.views = rows.map(toView);
  }

  get length() {
    return this.views.length;
  }

  /** The view at a position between 0 and length - 1: linear in position and lens, slerp in rotation. */
  at(place) {
    const last = this.length - 1;
    const clamped = MathUtils.clamp(place, 0, last);
    const left = Math.min(Math.floor(clamped), Math.max(last - 1, 0));
    const right = Math.min(left + 1, last);
    const mix = clamped - left;
    const [a, b] = [this.views[left], this.views[right]];
    return {
      position: a.position.clone().lerp(b.position, mix),
      quaternion: a.quaternion.clone().slerp(b.quaternion, mix),
      fov: MathUtils.lerp(a.fov, b.fov, mix),
    };
  }

  /** Largest distance between a camera and the first one, scene units. */
  get extent() {
    const first = this.views[0]?.position;
    return Math.max(0, ...this.views.map((view) => view.position.distanceTo(first)));
  }

  center() {
    const sum = new Vector3();
    for (const view of this.views) sum.add(view.position);
    return sum.divideScalar(Math.max(1, this.length));
  }

  /** Mean viewing direction, unit length; -z when the directions cancel out. */
  forward() {
    const sum = new Vector3();
    for (const view of this.views) sum.add(new Vector3(0, 0, -1).applyQuaternion(view.quaternion));
    return sum.length() < 1e-3 ? new Vector3(0, 0, -1) : sum.normalize();
  }
}
