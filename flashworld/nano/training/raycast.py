"""A batched ray caster for `WorldBatch`: colour and ray distance of many views at once, on CPU or GPU.

Every solid is intersected in its own unit frame (rotate, then divide by the half sizes, which preserves the ray
parameter), so a box, an ellipsoid, a cylinder and a cone are four short formulas. Shading: ambient light, one
directional light with hard shadows and Lambertian reflection, fog towards the horizon's colour. Anti-aliasing by
`samples` x `samples` rays per pixel.

Numerics: float32. Distances are along the unit ray, scene units; the sky is at `SKY_DISTANCE`.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from flashworld.cameras import Cameras
from flashworld.cameras.raymaps import ray_directions
from flashworld.nano.training.materials import TextureAtlas
from flashworld.nano.training.worlds import BOXES, CONES, CYLINDERS, ELLIPSOIDS, PLANES, SKY_DISTANCE, WorldBatch

FAR = 1e6
NEAR = 1e-3
SHADOW_BIAS = 2e-3
HitSolids = Callable[..., torch.Tensor]
"""`hit_solids`, or a compiled version of it."""


def cast(
    worlds: WorldBatch,
    cameras: Cameras,
    atlas: TextureAtlas,
    height: int,
    width: int,
    *,
    samples: int = 1,
    solids: HitSolids | None = None,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Render one view per world (index the worlds to get several).

    Args:
        worlds: C worlds.
        cameras: C cameras in world axes.
        atlas: Their textures.
        height: Image height in pixels.
        width: Image width in pixels.
        samples: Rays per pixel along each axis.
        solids: A compiled `hit_solids`, which dominates the cost; None: run eagerly.

    Returns:
        RGB in [0, 1], (C, 3, height, width), the ray distance of the nearest sample, (C, height, width), and whether a
        thing of the caption covers the pixel at least partly, booleans (C, height, width).
    """  # fmt: skip
    rows, columns = height * samples, width * samples
    direction = ray_directions(cameras, rows, columns).flatten(1, 2)
    origin = cameras.positions[:, None, :]
    pixel_angle = 1.0 / (cameras.intrinsics[:, 1] * height)
    rgb, distance, things = shade_rays(worlds, atlas, origin, direction, pixel_angle, solids or hit_solids)
    count = len(cameras)
    rgb = rgb.reshape(count, height, samples, width, samples, 3).mean(dim=(2, 4)).movedim(-1, 1)
    distance = distance.reshape(count, height, samples, width, samples).amin(dim=(2, 4))
    return rgb, distance, things.reshape(count, height, samples, width, samples).any(dim=4).any(dim=2)


def shade_rays(
    worlds: WorldBatch,
    atlas: TextureAtlas,
    origin: torch.Tensor,
    direction: torch.Tensor,
    pixel_angle: torch.Tensor,
    solids: HitSolids,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Colour (C, R, 3), distance (C, R) and whether a thing is hit (C, R), of R rays per world.

    Origin (C, 1, 3), direction (C, R, 3), unit.
    """
    distance, surface, normal, uv = nearest_hit(worlds, origin, direction, solids)
    sky = distance >= SKY_DISTANCE
    distance = distance.clamp(max=SKY_DISTANCE)
    point = origin + distance[..., None] * direction

    slant = (normal * direction).sum(-1).abs().clamp(min=0.15)
    tile = worlds.tile.gather(1, surface)
    footprint = distance * pixel_angle[:, None] * atlas.size / (tile * slant)
    texture = worlds.texture.gather(1, surface)
    texel = atlas.lookup(texture, uv[..., 0] / tile, uv[..., 1] / tile, torch.log2(footprint.clamp(min=1e-6)))
    low, high = gather_rows(worlds.low, surface), gather_rows(worlds.high, surface)
    albedo = torch.lerp(low, high, texel)

    to_light, tint, strength = worlds.light[:, None].unbind(2)
    lambert = (normal * to_light).sum(-1).clamp(min=0)
    blocks = solids(*solid_tables(worlds), point + SHADOW_BIAS * normal, to_light.expand_as(point).contiguous())
    shadow = (blocks.amin(dim=-1) < FAR).to(point.dtype)
    brightness = strength[..., 0] + strength[..., 1] * lambert * (1 - 0.8 * shadow)
    colour = albedo * brightness[..., None] * tint

    fade = 1 - torch.exp(-worlds.sky[:, None, 2, 2] * (distance - 1).clamp(min=0))
    background = sky_colour(worlds, atlas, direction)
    colour = torch.lerp(colour, worlds.sky[:, None, 1], fade[..., None])
    owner = torch.cat([worlds.owner.new_full((len(worlds), PLANES), -1), worlds.owner], dim=1).gather(1, surface)
    return torch.where(sky[..., None], background, colour).clamp(0, 1), distance, (owner >= 0) & ~sky


def sky_colour(worlds: WorldBatch, atlas: TextureAtlas, direction: torch.Tensor) -> torch.Tensor:
    """Sky colour: gradient from horizon to zenith, with clouds. (C, R, 3)"""
    zenith, horizon, rest = worlds.sky[:, None].unbind(2)
    up = direction[..., 1].clamp(min=0)
    colour = torch.lerp(horizon, zenith, (1 - torch.exp(-3 * up))[..., None])
    height = up + 0.25
    index = rest[..., 1].long().expand(up.shape)
    cloud = atlas.lookup(index, direction[..., 0] / height * 0.4, direction[..., 2] / height * 0.4, torch.ones_like(up))
    amount = cloud[..., :1] * rest[..., :1] * (up * 5).clamp(max=1)[..., None]
    return torch.lerp(colour, torch.full_like(colour, 0.96), amount)


def nearest_hit(
    worlds: WorldBatch, origin: torch.Tensor, direction: torch.Tensor, solids: HitSolids
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Distance (C, R), surface index (C, R), normal (C, R, 3) and texture coordinates (C, R, 2) of first hits."""
    plane_t, plane = hit_planes(worlds, origin, direction).min(dim=-1)
    solid_t, solid = solids(*solid_tables(worlds), origin, direction).min(dim=-1)
    on_plane = plane_t <= solid_t
    distance = torch.minimum(plane_t, solid_t)

    point = origin + distance[..., None] * direction
    flat = gather_rows(worlds.plane_u.flatten(2), plane).unflatten(-1, (2, 3))
    plane_uv = (flat * point[..., None, :]).sum(-1)
    half, turn = gather_rows(worlds.half, solid), gather_rows(worlds.turn, solid)
    local = turn_in(point - gather_rows(worlds.center, solid), turn)
    local_normal = unit_normal(local / half, solid) / half
    local_normal = local_normal / local_normal.norm(dim=-1, keepdim=True).clamp(min=1e-9)
    normal = torch.where(on_plane[..., None], gather_rows(worlds.plane_normal, plane), turn_back(local_normal, turn))
    uv = torch.where(on_plane[..., None], plane_uv, box_mapping(local, local_normal))
    return distance, torch.where(on_plane, plane, solid + PLANES), normal, uv


def solid_tables(worlds: WorldBatch) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """The tensors of the worlds that `hit_solids` takes."""
    return worlds.center, worlds.half, worlds.turn, worlds.active


def hit_solids(
    center: torch.Tensor,
    half: torch.Tensor,
    turn: torch.Tensor,
    active: torch.Tensor,
    origin: torch.Tensor,
    direction: torch.Tensor,
) -> torch.Tensor:
    """Ray parameters of first hits with every solid, FAR for none. (C, R, SOLIDS)

    The minimum over solids is left to the caller: compiled, torch 2.11 returns wrong indices for it on the CPU.

    Args:
        center: See `WorldBatch`. (C, SOLIDS, 3)
        half: See `WorldBatch`. (C, SOLIDS, 3)
        turn: See `WorldBatch`. (C, SOLIDS, 2)
        active: See `WorldBatch`. (C, SOLIDS)
        origin: Ray origins. (C, 1 or R, 3)
        direction: Ray directions, any length. (C, R, 3)
    """  # fmt: skip
    hits, first = [], 0
    for hit, count in ((hit_box, BOXES), (hit_sphere, ELLIPSOIDS), (hit_cylinder, CYLINDERS), (hit_cone, CONES)):
        slots = slice(first, first + count)
        own_turn, own_half = turn[:, None, slots], half[:, None, slots]
        o = turn_in(origin[:, :, None] - center[:, None, slots], own_turn) / own_half
        t = hit(o, turn_in(direction[:, :, None], own_turn) / own_half)
        hits.append(torch.where(active[:, None, slots] > 0, t, torch.full_like(t, FAR)))
        first += count
    return torch.cat(hits, dim=-1)


def hit_planes(worlds: WorldBatch, origin: torch.Tensor, direction: torch.Tensor) -> torch.Tensor:
    """Ray parameters of hits with the front of each plane, FAR for none. (C, R, PLANES)"""
    normal = worlds.plane_normal.transpose(1, 2)
    facing = direction @ normal
    height = worlds.plane_offset[:, None] - origin @ normal
    t = height / torch.where(facing < -1e-6, facing, torch.full_like(facing, -1e-6))
    hit = (facing < -1e-6) & (t > NEAR) & (worlds.plane_active[:, None] > 0)
    return torch.where(hit, t, torch.full_like(t, FAR))


def turn_in(x: torch.Tensor, turn: torch.Tensor) -> torch.Tensor:
    """World axes to a solid's axes. (..., 3)"""
    c, s = turn.unbind(-1)
    turned = (c * x[..., 0] - s * x[..., 2], x[..., 1], s * x[..., 0] + c * x[..., 2])
    return torch.stack(torch.broadcast_tensors(*turned), dim=-1)


def turn_back(normal: torch.Tensor, turn: torch.Tensor) -> torch.Tensor:
    """Local axes to world axes, the inverse of `turn_in`. (..., 3)"""
    c, s = turn.unbind(-1)
    return torch.stack(
        [c * normal[..., 0] + s * normal[..., 2], normal[..., 1], c * normal[..., 2] - s * normal[..., 0]], dim=-1
    )


def safe_inverse(x: torch.Tensor) -> torch.Tensor:
    """1 / x, with zero replaced by a tiny number."""
    return 1 / torch.where(x.abs() < 1e-9, torch.full_like(x, 1e-9), x)


def first_of(near: torch.Tensor, far: torch.Tensor) -> torch.Tensor:
    """Entry of an interval of ray parameters; FAR when it is empty or behind."""
    return torch.where((near <= far) & (near > NEAR), near, torch.full_like(near, FAR))


def hit_box(o: torch.Tensor, d: torch.Tensor) -> torch.Tensor:
    """The cube [-1, 1]^3 by the slab method; rays that start inside have no hit. (...)"""
    inverse = safe_inverse(d)
    a, b = (-1 - o) * inverse, (1 - o) * inverse
    return first_of(torch.minimum(a, b).amax(-1), torch.maximum(a, b).amin(-1))


def roots(a: torch.Tensor, half_b: torch.Tensor, c: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Real roots of a t^2 + 2 half_b t + c in ascending order, and whether they exist."""
    discriminant = half_b * half_b - a * c
    root = discriminant.clamp(min=0).sqrt()
    inverse = safe_inverse(a)
    first, second = (-half_b - root) * inverse, (-half_b + root) * inverse
    return torch.minimum(first, second), torch.maximum(first, second), discriminant > 0


def hit_sphere(o: torch.Tensor, d: torch.Tensor) -> torch.Tensor:
    """The unit sphere. (...)"""
    near, far, real = roots((d * d).sum(-1), (o * d).sum(-1), (o * o).sum(-1) - 1)
    return torch.where(real, first_of(near, far), torch.full_like(near, FAR))


def hit_cylinder(o: torch.Tensor, d: torch.Tensor) -> torch.Tensor:
    """The cylinder x^2 + z^2 <= 1, |y| <= 1. (...)"""
    ox, oy, oz = o.unbind(-1)
    dx, dy, dz = d.unbind(-1)
    near, far, real = roots(dx * dx + dz * dz, ox * dx + oz * dz, ox * ox + oz * oz - 1)
    inverse = safe_inverse(dy)
    a, b = (-1 - oy) * inverse, (1 - oy) * inverse
    t = first_of(torch.maximum(near, torch.minimum(a, b)), torch.minimum(far, torch.maximum(a, b)))
    return torch.where(real, t, torch.full_like(t, FAR))


def hit_cone(o: torch.Tensor, d: torch.Tensor) -> torch.Tensor:
    """The cone with its tip at y = 1 and a base of radius 1 at y = -1. (...)"""
    ox, oy, oz = o.unbind(-1)
    dx, dy, dz = d.unbind(-1)
    ky, kd = (1 - oy) / 2, -dy / 2  # the cone's radius along the ray
    first, second, real = roots(dx * dx + dz * dz - kd * kd, ox * dx + oz * dz - ky * kd, ox * ox + oz * oz - ky * ky)
    far_away = torch.full_like(first, FAR)

    def on_side(t: torch.Tensor) -> torch.Tensor:
        y = oy + t * dy
        return torch.where(real & (t > NEAR) & (y.abs() <= 1), t, far_away)

    base = (-1 - oy) * safe_inverse(dy)
    bx, bz = ox + base * dx, oz + base * dz
    base = torch.where((base > NEAR) & (bx * bx + bz * bz <= 1), base, far_away)
    return torch.minimum(torch.minimum(on_side(first), on_side(second)), base)


def unit_normal(p: torch.Tensor, solid: torch.Tensor) -> torch.Tensor:
    """Outward normal in the unit frame at a surface point of the solid with index `solid`. (C, R, 3)"""
    x, y, z = p.unbind(-1)
    zero = torch.zeros_like(x)
    size = p.abs()
    box = torch.where(size >= size.amax(-1, keepdim=True), p.sign(), torch.zeros_like(p))
    side = torch.stack([x, zero, z], dim=-1)
    up = torch.stack([zero, y.sign(), zero], dim=-1)
    cylinder = torch.where((y.abs() > 0.9995)[..., None], up, side)
    cone = torch.where((y < -0.9995)[..., None], up, torch.stack([x, (1 - y) / 4, z], dim=-1))
    kind = (solid >= BOXES).long() + (solid >= BOXES + ELLIPSOIDS) + (solid >= BOXES + ELLIPSOIDS + CYLINDERS)
    kind = kind[..., None]
    return torch.where(kind == 0, box, torch.where(kind == 1, p, torch.where(kind == 2, cylinder, cone)))


def box_mapping(p: torch.Tensor, normal: torch.Tensor) -> torch.Tensor:
    """Texture coordinates of a local point: the axes other than the normal's dominant one, scene units. (C, R, 2)"""
    x, y, z = p.unbind(-1)
    axis = normal.abs().argmax(-1)
    return torch.stack([torch.where(axis == 0, z, x), torch.where(axis == 1, z, y)], dim=-1)


def gather_rows(table: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
    """Rows table[c, index[c, r]]. (C, R, width)"""
    return table.gather(1, index[..., None].expand(*index.shape, table.shape[-1]))
