"""Compiled kernels of the CPU rasterizer: `prepare` a scene once, then `draw` one frame per call.

Numerics: positions in camera space are float64, so that surfaces at almost equal depth keep their order and scenes
far from the origin stay sharp; everything else is float32. The exponential is a polynomial (relative error 2e-6
over the relevant range). Constants and rules are those of gsplat 1.5.3 "classic": 0.3 px^2 of blur, alpha at most
0.999, nothing below 1/255, a pixel stops before the Gaussian that would bring its transmittance to 1e-4 or less.

Both kernels are serial and release the GIL: frames run in ordinary Python threads, and a process may fork at any
time (numba's parallel mode starts an OpenMP pool, which kills forked children). Each has one explicit
signature, so nothing is compiled twice, and the code is cached on disk and loaded when this module is imported. All
of it is in this file because that cache only detects changes to this file.

Source: the equations of 3D Gaussian Splatting (Kerbl et al. 2023) with the constants of gsplat 1.5.3.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable

import numba as nb
import numpy as np

logger = logging.getLogger(__name__)

TILE = 16
"""Side of a tile in pixels; a tile's row is one AVX-512 vector, or two AVX ones."""
BATCH = 32
"""Splats copied to contiguous memory and blended before checking which rows of the tile are finished."""
LIST_ENTRIES = 1 << 24
"""(Gaussian, tile) pairs listed at a time: 128 MiB. A frame with more is drawn in several ranges of tiles."""
SCENE_FLOATS = 11
"""Floats of a prepared Gaussian: mean 3, covariance 6, opacity, ln(255 opacity) or -1 for one that is never drawn."""
SPLAT_FLOATS = 10
"""Floats of a projected Gaussian: centre 2, exponent's coefficients of dx^2, dxdy, dy^2, opacity, RGB, depth."""
BOX_INTS = 4
"""Its pixels: first and past-the-end column, first and past-the-end row."""
CAMERA_FLOATS = 16
"""Rotation 9 of the OpenCV world-to-camera transform, row by row, camera centre 3, fx fy cx cy in pixels; float64."""

F = np.float32
_U = nb.uint64  # unsigned indices avoid the check for negative ones, which would prevent vectorisation
_PLANE = TILE * TILE
_BLUR = F(0.3)
_ALPHA_CUT = F(1.0 / 255.0)
_ALPHA_MAX = F(0.999)
_T_STOP = F(1e-4)
_FOV_MARGIN = F(0.15)  # of the image's side, beyond its border: where the slope of the projection is clamped
_EXP_SCALE = F(-1.0 / 8.0)  # exponents are kept as -sigma / 8
_EXP_END = F(-0.7)  # sigma 5.6, a little above ln 255: nothing farther out is drawn
_OPTIONS = {
    "nogil": True,
    "error_model": "numpy",  # division by zero gives infinity, which is checked for
    "fastmath": {"contract", "arcp", "nsz", "reassoc"},  # NaN and infinity keep their meaning
}
_part = nb.njit(**_OPTIONS)  # inlined into the kernel that calls it


def _kernel(signature: str) -> Callable[[Callable], Callable]:
    """Compile for one signature, and cache the code on disk if any cache folder is writable."""

    def compile_it(function: Callable) -> Callable:
        try:
            return nb.njit(signature, cache=True, **_OPTIONS)(function)
        except (RuntimeError, OSError) as error:  # numba found no folder for its cache, or the disk is full
            logger.warning("the CPU renderer cannot be cached and will be compiled in every process: %s", error)
            return nb.njit(signature, **_OPTIONS)(function)

    return compile_it


@_kernel("void(f4[:,:], f4[:,:], f4[:,:], f4[:], f4[:,:,:], f4[:,::1])")
def prepare(means, quats_wxyz, scales, opacities, sh, out) -> None:  # noqa: ANN001 - the signature above
    """Fill `out` (N, SCENE_FLOATS). Gaussians that are not finite, or too faint to be seen, are marked never drawn."""
    for i in range(means.shape[0]):
        w, x, y, z = quats_wxyz[i, 0], quats_wxyz[i, 1], quats_wxyz[i, 2], quats_wxyz[i, 3]
        a, b, c = scales[i, 0] * scales[i, 0], scales[i, 1] * scales[i, 1], scales[i, 2] * scales[i, 2]
        norm = w * w + x * x + y * y + z * z
        total = norm + a + b + c + abs(opacities[i])
        for k in range(3):
            out[i, k] = means[i, k]
            total += abs(means[i, k])
            for j in range(sh.shape[1]):
                total += abs(sh[i, j, k])
        opacity = min(F(1), opacities[i])
        if not (math.isfinite(total) and norm > F(0) and opacity >= _ALPHA_CUT):
            out[i, 10] = F(-1)
            continue
        s = F(2) / norm
        r00, r01, r02 = F(1) - s * (y * y + z * z), s * (x * y - w * z), s * (x * z + w * y)
        r10, r11, r12 = s * (x * y + w * z), F(1) - s * (x * x + z * z), s * (y * z - w * x)
        r20, r21, r22 = s * (x * z - w * y), s * (y * z + w * x), F(1) - s * (x * x + y * y)
        out[i, 3] = a * r00 * r00 + b * r01 * r01 + c * r02 * r02
        out[i, 4] = a * r00 * r10 + b * r01 * r11 + c * r02 * r12
        out[i, 5] = a * r00 * r20 + b * r01 * r21 + c * r02 * r22
        out[i, 6] = a * r10 * r10 + b * r11 * r11 + c * r12 * r12
        out[i, 7] = a * r10 * r20 + b * r11 * r21 + c * r12 * r22
        out[i, 8] = a * r20 * r20 + b * r21 * r21 + c * r22 * r22
        out[i, 9] = opacity
        out[i, 10] = max(F(0), math.log(F(255) * opacity))


@_part
def _colour(sh, i, x, y, z, c):  # noqa: ANN001, ANN202
    """max(0, SH + 0.5) of channel c of Gaussian i seen along the unit direction (x, y, z); 1, 4, 9 or 16 terms."""
    terms = sh.shape[1]
    v = F(0.28209479177387814) * sh[i, 0, c] + F(0.5)
    if terms > 1:
        v += F(0.4886025119029199) * (z * sh[i, 2, c] - y * sh[i, 1, c] - x * sh[i, 3, c])
    if terms > 4:
        v += F(1.0925484305920792) * (x * y * sh[i, 4, c] - y * z * sh[i, 5, c] - x * z * sh[i, 7, c])
        v += F(0.31539156525252005) * (F(2) * z * z - x * x - y * y) * sh[i, 6, c]
        v += F(0.5462742152960396) * (x * x - y * y) * sh[i, 8, c]
    if terms > 9:
        v -= F(0.5900435899266435) * y * (F(3) * x * x - y * y) * sh[i, 9, c]
        v += F(2.890611442640554) * x * y * z * sh[i, 10, c]
        v -= F(0.4570457994644658) * (F(4) * z * z - x * x - y * y) * (y * sh[i, 11, c] + x * sh[i, 13, c])
        v += F(0.3731763325901154) * z * (F(2) * z * z - F(3) * x * x - F(3) * y * y) * sh[i, 12, c]
        v += F(1.445305721320277) * z * (x * x - y * y) * sh[i, 14, c]
        v -= F(0.5900435899266435) * x * (x * x - F(3) * y * y) * sh[i, 15, c]
    return max(v, F(0))


@_part
def _pixels(centre, reach, side):  # noqa: ANN001, ANN202
    """First and past-the-end pixel of [0, side) whose centre (k + 0.5) lies within `reach` of `centre`."""
    first = math.ceil(min(max(centre - reach - F(0.5), F(0)), F(side)))
    last = math.floor(max(min(centre + reach - F(0.5), F(side - 1)), F(-1)))
    return int(first), int(last) + 1


@_part
def _project(scene, sh, camera, height, width, near, far, splats, boxes, counts):  # noqa: ANN001, ANN202
    """Write every visible Gaussian's splat and box, count the entries of every tile; return the number of splats."""
    xx, xy, xz, yx, yy, yz = camera[0], camera[1], camera[2], camera[3], camera[4], camera[5]
    zx, zy, zz, ex, ey, ez = camera[6], camera[7], camera[8], camera[9], camera[10], camera[11]
    r00, r01, r02, r10, r11, r12 = F(xx), F(xy), F(xz), F(yx), F(yy), F(yz)
    r20, r21, r22 = F(zx), F(zy), F(zz)
    fx, fy, cx, cy = F(camera[12]), F(camera[13]), F(camera[14]), F(camera[15])
    margin_x, margin_y = _FOV_MARGIN * F(width), _FOV_MARGIN * F(height)
    left, right = -(cx + margin_x) / fx, (F(width) - cx + margin_x) / fx
    up, down = -(cy + margin_y) / fy, (F(height) - cy + margin_y) / fy
    tiles_x = (width + TILE - 1) // TILE
    m = 0
    for i in range(scene.shape[0]):
        cut = scene[i, 10]
        if cut < F(0):
            continue
        wx, wy, wz = scene[i, 0] - ex, scene[i, 1] - ey, scene[i, 2] - ez
        z = F(zx * wx + zy * wy + zz * wz)
        if not (near <= z <= far):
            continue
        rz = F(1) / z
        xn = F(xx * wx + xy * wy + xz * wz) * rz
        yn = F(yx * wx + yy * wy + yz * wz) * rz
        u, v = fx * xn + cx, fy * yn + cy
        jx, jxz = fx * rz, -fx * rz * min(right, max(left, xn))
        jy, jyz = fy * rz, -fy * rz * min(down, max(up, yn))
        a0, a1, a2 = jx * r00 + jxz * r20, jx * r01 + jxz * r21, jx * r02 + jxz * r22
        b0, b1, b2 = jy * r10 + jyz * r20, jy * r11 + jyz * r21, jy * r12 + jyz * r22
        c0, c1, c2, c3, c4, c5 = scene[i, 3], scene[i, 4], scene[i, 5], scene[i, 6], scene[i, 7], scene[i, 8]
        g0, g1, g2 = c0 * a0 + c1 * a1 + c2 * a2, c1 * a0 + c3 * a1 + c4 * a2, c2 * a0 + c4 * a1 + c5 * a2
        h0, h1, h2 = c0 * b0 + c1 * b1 + c2 * b2, c1 * b0 + c3 * b1 + c4 * b2, c2 * b0 + c4 * b1 + c5 * b2
        sxx = a0 * g0 + a1 * g1 + a2 * g2 + _BLUR
        sxy = b0 * g0 + b1 * g1 + b2 * g2
        syy = b0 * h0 + b1 * h1 + b2 * h2 + _BLUR
        det = sxx * syy - sxy * sxy
        if not (det > F(0) and math.isfinite(sxx + syy + u + v)):  # an infinite det only means a flat splat
            continue
        x0, x1 = _pixels(u, math.sqrt(F(2) * cut * sxx), width)
        y0, y1 = _pixels(v, math.sqrt(F(2) * cut * syy), height)
        if x0 >= x1 or y0 >= y1:
            continue
        scale = _EXP_SCALE / det
        splats[m, 0], splats[m, 1], splats[m, 5], splats[m, 9] = u, v, scene[i, 9], z
        splats[m, 2], splats[m, 3], splats[m, 4] = F(0.5) * syy * scale, -sxy * scale, F(0.5) * sxx * scale
        dx, dy, dz = F(wx), F(wy), F(wz)
        rd = F(1) / math.sqrt(dx * dx + dy * dy + dz * dz)
        for c in range(3):
            splats[m, 6 + c] = _colour(sh, i, dx * rd, dy * rd, dz * rd, c)
        boxes[m, 0], boxes[m, 1], boxes[m, 2], boxes[m, 3] = x0, x1, y0, y1
        for ty in range(y0 // TILE, (y1 - 1) // TILE + 1):
            for tx in range(x0 // TILE, (x1 - 1) // TILE + 1):
                counts[ty * tiles_x + tx] += 1
        m += 1
    return m


@_part
def _list_tiles(splats, boxes, m, tiles_x, begin, end, places, ids, depths):  # noqa: ANN001, ANN202
    """Write ids and depth bits of the splats of tiles begin..end-1; `places` moves from each list's start to its end."""
    bits = splats.view(np.uint32)  # positive floats sort like their bits
    row_begin, row_end = begin // tiles_x, (end - 1) // tiles_x
    for g in range(m):
        for ty in range(max(row_begin, boxes[g, 2] // TILE), min(row_end, (boxes[g, 3] - 1) // TILE) + 1):
            for tx in range(boxes[g, 0] // TILE, (boxes[g, 1] - 1) // TILE + 1):
                tile = ty * tiles_x + tx
                if begin <= tile < end:
                    place = places[tile]
                    ids[place], depths[place] = g, bits[g, 9]
                    places[tile] = place + 1


@_part
def _sort_by_depth(ids, depths, spare_ids, spare_depths, histogram):  # noqa: ANN001, ANN202
    """Stable radix sort of one tile's ids by depth, byte by byte, in place."""
    n = ids.shape[0]
    histogram[:] = 0
    for i in range(n):
        key = depths[i]
        for digit in range(4):
            histogram[digit, (key >> np.uint32(8 * digit)) & np.uint32(255)] += 1
    for digit in range(4):
        shift, counts = np.uint32(8 * digit), histogram[digit]
        if counts[(depths[0] >> shift) & np.uint32(255)] == n:
            continue  # the same byte everywhere
        place = 0
        for value in range(256):
            size = counts[value]
            counts[value] = place
            place += size
        for i in range(n):
            key = depths[i]
            byte = (key >> shift) & np.uint32(255)
            spare_ids[counts[byte]], spare_depths[counts[byte]] = ids[i], key
            counts[byte] += 1
        for i in range(n):
            ids[i], depths[i] = spare_ids[i], spare_depths[i]


@_part
def _unfinished_rows(tile, begin, end):  # noqa: ANN001, ANN202
    """First and past-the-end row of begin..end that is not yet opaque."""
    first, last = end, begin
    for y in range(begin, end):
        light = F(0)
        for x in range(TILE):
            light += max(F(0), tile[y * TILE + x])
        if light > F(0):
            first, last = min(first, y), y + 1
    return first, last


@_part
def _blend_splat(tile, columns_px, splat, left, top, begin, end):  # noqa: ANN001, ANN202
    """Blend one splat into rows begin..end of a tile: transmittance (negative once finished), RGB and depth planes."""
    u, v = splat[0] - left, splat[1] - top
    a, b, c, opacity = splat[2], splat[3], splat[4], splat[5]
    red, green, blue, z = splat[6], splat[7], splat[8], splat[9]
    for y in range(begin, end):
        dy = v - F(y)
        bdy, cdy = b * dy, c * dy * dy
        row = _U(y * TILE)
        for x in range(_U(TILE)):
            dx = u - columns_px[x]
            s = min(F(0), max(dx * (a * dx + bdy) + cdy, _EXP_END))
            e = F(0.16596903) + s * (F(0.03976483) + s * F(0.00584249))
            e = F(0.99999992) + s * (F(0.99999241) + s * (F(0.49988128) + s * e))
            e *= e
            e *= e
            alpha = min(_ALPHA_MAX, opacity * (e * e))
            alpha = alpha if alpha >= _ALPHA_CUT else F(0)
            k = row + x
            before = tile[k]
            after = before * (F(1) - alpha)
            goes_on = after > _T_STOP
            weight = alpha * before if goes_on else F(0)
            tile[k] = after if goes_on else -abs(before)
            tile[k + _U(_PLANE)] += weight * red
            tile[k + _U(2 * _PLANE)] += weight * green
            tile[k + _U(3 * _PLANE)] += weight * blue
            tile[k + _U(4 * _PLANE)] += weight * z


@_part
def _blend_tile(tile, columns_px, ids, splats, boxes, left, top, rows, columns, batch, spans):  # noqa: ANN001, ANN202
    """Blend a tile's splats, nearest first, into `tile` (5 planes); pixels beyond the image count as finished."""
    tile[:] = F(0)
    for y in range(TILE):
        for x in range(TILE):
            tile[y * TILE + x] = F(1) if y < rows and x < columns else F(-1)
    begin, end = 0, rows
    for start in range(0, ids.shape[0], BATCH):
        begin, end = _unfinished_rows(tile, begin, end)
        if begin >= end:
            return
        count = min(BATCH, ids.shape[0] - start)
        for j in range(count):  # reading them all before use hides memory latency
            g = ids[start + j]
            for k in range(SPLAT_FLOATS):
                batch[j, k] = splats[g, k]
            spans[j, 0], spans[j, 1] = max(begin, boxes[g, 2] - top), min(end, boxes[g, 3] - top)
        for j in range(count):
            _blend_splat(tile, columns_px, batch[j], F(left) + F(0.5), F(top) + F(0.5), spans[j, 0], spans[j, 1])


@_part
def _finish_tile(tile, background, left, top, rows, columns, rgb, alpha, depth):  # noqa: ANN001, ANN202
    """Put the background behind a blended tile and copy it into the frame."""
    for y in range(rows):
        for x in range(columns):
            k = y * TILE + x
            light = abs(tile[k])
            for c in range(3):
                rgb[top + y, left + x, c] = tile[k + (1 + c) * _PLANE] + light * background[c]
            alpha[top + y, left + x] = F(1) - light
            depth[top + y, left + x] = tile[k + 4 * _PLANE]


@_kernel("i8(f4[:,::1], f4[:,:,:], f8[::1], f4[::1], f4, f4, f4[:,::1], i2[:,::1], f4[:,:,::1], f4[:,::1], f4[:,::1])")
def draw(scene, sh, camera, background, near, far, splats, boxes, rgb, alpha, depth) -> int:  # noqa: ANN001
    """Draw one frame.

    Args:
        scene: Output of `prepare`. (N, SCENE_FLOATS)
        sh: The scene's spherical harmonics, any strides. (N, 1 | 4 | 9 | 16, 3)
        camera: Float64. (CAMERA_FLOATS,)
        background: RGB behind everything. (3,)
        near: Smallest depth drawn; above 0.
        far: Largest depth drawn.
        splats: Workspace. (N, SPLAT_FLOATS)
        boxes: Workspace. (N, BOX_INTS)
        rgb: Result, (H, W, 3); H and W fit in int16.
        alpha: Result, (H, W).
        depth: Result, accumulated: the sum of weight x depth. (H, W)

    Returns:
        The number of Gaussians that contribute to the image.
    """
    height, width = alpha.shape
    tiles_x = (width + TILE - 1) // TILE
    tiles = tiles_x * ((height + TILE - 1) // TILE)
    counts, places = np.zeros(tiles, np.int64), np.empty(tiles, np.int64)
    m = _project(scene, sh, camera, height, width, near, far, splats, boxes, counts)
    longest = counts.max()
    entries = max(longest, min(counts.sum(), LIST_ENTRIES))
    ids, depths = np.empty(entries, np.int32), np.empty(entries, np.uint32)
    spare_ids, spare_depths = np.empty(longest, np.int32), np.empty(longest, np.uint32)
    histogram = np.empty((4, 256), np.int64)
    tile = np.empty(5 * _PLANE, np.float32)
    columns_px = np.arange(TILE).astype(np.float32)
    batch, spans = np.empty((BATCH, SPLAT_FLOATS), np.float32), np.empty((BATCH, 2), np.int64)
    begin = 0
    while begin < tiles:
        end, used = begin, 0
        while end < tiles and used + counts[end] <= entries:
            places[end] = used
            used += counts[end]
            end += 1
        _list_tiles(splats, boxes, m, tiles_x, begin, end, places, ids, depths)
        for t in range(begin, end):
            first, last = places[t] - counts[t], places[t]
            if last > first:
                _sort_by_depth(ids[first:last], depths[first:last], spare_ids, spare_depths, histogram)
            left, top = (t % tiles_x) * TILE, (t // tiles_x) * TILE
            rows, columns = min(TILE, height - top), min(TILE, width - left)
            _blend_tile(tile, columns_px, ids[first:last], splats, boxes, left, top, rows, columns, batch, spans)
            _finish_tile(tile, background, left, top, rows, columns, rgb, alpha, depth)
        begin = end
    return m
