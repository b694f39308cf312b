"""Run by Blender's Python, not by ours: import a PLY with Blender's own importer and render its points.

    python blender_scene.py JOB.json

The job holds: ply, picture, c2w (OpenGL axes of the request), fov_y_deg, height, width, samples. Blender's importer keeps
every field of the PLY as an attribute of the points, so their sizes and colours come from `scale_*` and `f_dc_*`. The
points are opaque spheres: this verifies axes, scale and attributes, not splatting. Prints one JSON line.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import bpy
import numpy as np
from mathutils import Matrix

SH_C0 = 0.28209479177387814
MIN_OPACITY = 0.3
"""Opaque spheres are drawn for Gaussians that cover at least this much."""
UPRIGHT = Matrix(((1, 0, 0, 0), (0, 0, -1, 0), (0, 1, 0, 0), (0, 0, 0, 1)))
"""From OpenGL axes (right, up, back) to Blender's (right, forward, up): a rotation of 90 degrees about x."""


def values(mesh: bpy.types.Mesh, name: str) -> np.ndarray:
    """One attribute of the points. (N,)"""
    found = np.empty(len(mesh.vertices), np.float32)
    mesh.attributes[name].data.foreach_get("value", found)
    return found


def imported(file: str) -> bpy.types.Object:
    """The PLY with its axes named to the importer: forward is z, up is minus y."""
    bpy.ops.wm.ply_import(filepath=file, forward_axis="Z", up_axis="NEGATIVE_Y", import_attributes=True)
    bpy.ops.object.transform_apply(rotation=True)
    return bpy.context.object


def add_looks(points: bpy.types.Object) -> None:
    """Colour, radius and selection as attributes, shown through a node tree."""
    mesh = points.data
    opacity = 1 / (1 + np.exp(-values(mesh, "opacity")))
    radius = np.exp(np.stack([values(mesh, f"scale_{i}") for i in range(3)])).mean(axis=0) * (opacity >= MIN_OPACITY)
    colour = np.ones((len(radius), 4), np.float32)
    srgb = np.clip(0.5 + SH_C0 * np.stack([values(mesh, f"f_dc_{i}") for i in range(3)], axis=1), 0, 1)
    colour[:, :3] = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    mesh.attributes.new("radius", "FLOAT", "POINT").data.foreach_set("value", radius.astype(np.float32))
    mesh.attributes.new("shade", "FLOAT_COLOR", "POINT").data.foreach_set("color", colour.ravel())

    material = bpy.data.materials.new("shade")
    material.use_nodes = True
    nodes, links = material.node_tree.nodes, material.node_tree.links
    nodes.clear()
    attribute, light, output = (nodes.new(f"ShaderNode{kind}") for kind in ("Attribute", "Emission", "OutputMaterial"))
    attribute.attribute_name = "shade"
    links.new(attribute.outputs["Color"], light.inputs["Color"])
    links.new(light.outputs[0], output.inputs["Surface"])

    tree = bpy.data.node_groups.new("points", "GeometryNodeTree")
    tree.interface.new_socket("Geometry", in_out="INPUT", socket_type="NodeSocketGeometry")
    tree.interface.new_socket("Geometry", in_out="OUTPUT", socket_type="NodeSocketGeometry")
    kinds = ("NodeGroupInput", "GeometryNodeMeshToPoints", "GeometryNodeInputNamedAttribute", "GeometryNodeSetMaterial",
             "NodeGroupOutput")  # fmt: skip
    start, to_points, named, shade, end = (tree.nodes.new(kind) for kind in kinds)
    named.data_type = "FLOAT"
    named.inputs["Name"].default_value = "radius"
    shade.inputs["Material"].default_value = material
    tree.links.new(start.outputs[0], to_points.inputs["Mesh"])
    tree.links.new(named.outputs["Attribute"], to_points.inputs["Radius"])
    tree.links.new(to_points.outputs[0], shade.inputs["Geometry"])
    tree.links.new(shade.outputs[0], end.inputs[0])
    points.modifiers.new("points", "NODES").node_group = tree


def render(job: dict) -> None:
    """One image from the job's camera over white."""
    scene = bpy.context.scene
    camera = bpy.data.objects.new("camera", bpy.data.cameras.new("camera"))
    camera.data.sensor_fit, camera.data.angle = "VERTICAL", np.radians(job["fov_y_deg"])
    camera.data.clip_start = 0.01
    camera.matrix_world = UPRIGHT @ Matrix(job["c2w"])
    scene.collection.objects.link(camera)
    scene.camera = camera
    world = bpy.data.worlds.new("white")
    world.use_nodes = True
    world.node_tree.nodes["Background"].inputs["Color"].default_value = (1, 1, 1, 1)
    scene.world = world
    scene.render.engine = "CYCLES"
    scene.cycles.samples, scene.cycles.max_bounces, scene.cycles.use_denoising = job["samples"], 0, False
    scene.view_settings.view_transform = "Standard"
    scene.render.resolution_x, scene.render.resolution_y, scene.render.resolution_percentage = (
        job["width"],
        job["height"],
        100,
    )
    scene.render.filepath = job["picture"]
    bpy.ops.render.render(write_still=True)


def main() -> None:
    """Import, render, print the count and Blender's version."""
    job = json.loads(Path(sys.argv[1]).read_text())
    bpy.ops.wm.read_factory_settings(use_empty=True)
    points = imported(job["ply"])
    add_looks(points)
    render(job)
    sys.stdout.write("\n" + json.dumps({"count": len(points.data.vertices), "version": bpy.app.version_string}) + "\n")


if __name__ == "__main__":
    main()
