"""A small helper to build shader node trees without naming every socket link."""

from __future__ import annotations

from typing import Any

import bpy

Socket = bpy.types.NodeSocket

_MIX_FACTOR, _MIX_A, _MIX_B, _MIX_RESULT = 0, 6, 7, 2
"""The Mix node has one socket of each name per data type; colours sit at these positions."""


class Shader:
    """A material whose node tree is built by calls; a value may be a constant, a socket or a node.

    Args:
        name: name of the material.
    """

    def __init__(self, name: str):
        self.material = bpy.data.materials.new(name)
        self.material.use_nodes = True
        self.tree = self.material.node_tree
        self.tree.nodes.clear()
        self._output = self.node("ShaderNodeOutputMaterial")

    @classmethod
    def of(cls, material: bpy.types.Material) -> Shader:
        """A finished material, to which nodes may be added."""
        shader = cls.__new__(cls)
        shader.material, shader.tree = material, material.node_tree
        return shader

    def node(
        self, kind: str, inputs: dict[str | int, Any] | None = None, **properties: Any
    ) -> bpy.types.Node:
        """Add a node, set its properties, then its inputs (by name or position)."""
        node = self.tree.nodes.new(kind)
        for name, value in properties.items():
            setattr(node, name, value)
        for key, value in (inputs or {}).items():
            self.set(node, key, value)
        return node

    def set(self, node: bpy.types.Node, key: str | int, value: Any) -> None:
        """Link or assign one input of a node. Colours may have three components."""
        socket = node.inputs[key]
        if isinstance(value, bpy.types.Node):
            value = value.outputs[0]
        if isinstance(value, Socket):
            self.tree.links.new(value, socket)
            return
        if socket.type == "RGBA" and not isinstance(value, int | float) and len(value) == 3:
            value = (*value, 1.0)
        socket.default_value = value

    def surface(self, shader: bpy.types.Node | Socket) -> bpy.types.Material:
        """Make `shader` the surface and return the material."""
        self.set(self._output, "Surface", shader)
        return self.material

    def attribute(self, name: str, output: str = "Color") -> Socket:
        """A geometry attribute; `output` is Color, Vector or Fac."""
        return self.node("ShaderNodeAttribute", attribute_name=name).outputs[output]

    def uv(self, name: str = "UVMap") -> Socket:
        """A texture coordinate layer."""
        return self.node("ShaderNodeUVMap", uv_map=name).outputs[0]

    def image(
        self, image: bpy.types.Image, vector: Any, *, extension: str = "EXTEND"
    ) -> bpy.types.Node:
        """An image texture node (outputs Color and Alpha)."""
        return self.node("ShaderNodeTexImage", {"Vector": vector}, image=image, extension=extension)

    def math(self, operation: str, *operands: Any, clamp: bool = False) -> Socket:
        """A Math node, for example `math("MULTIPLY", a, 2.0)`."""
        inputs = dict(enumerate(operands))
        return self.node("ShaderNodeMath", inputs, operation=operation, use_clamp=clamp).outputs[0]

    def mix(self, factor: Any, a: Any, b: Any, blend: str = "MIX") -> Socket:
        """Colour a where factor is 0, b (blended) where it is 1."""
        inputs = {_MIX_FACTOR: factor, _MIX_A: a, _MIX_B: b}
        node = self.node("ShaderNodeMix", inputs, data_type="RGBA", blend_type=blend)
        return node.outputs[_MIX_RESULT]

    def mix_shader(self, factor: Any, a: Any, b: Any) -> Socket:
        """Shader a where factor is 0, b where it is 1."""
        return self.node("ShaderNodeMixShader", {0: factor, 1: a, 2: b}).outputs[0]

    def smoothstep(self, value: Any, low: float, high: float) -> Socket:
        """0 at `low`, 1 at `high`, smooth in between; `low` must be below `high`."""
        return self.node(
            "ShaderNodeMapRange",
            {0: value, 1: low, 2: high},
            interpolation_type="SMOOTHSTEP",
            clamp=True,
        ).outputs[0]

    def noise(
        self,
        vector: Any,
        scale: Any,
        *,
        detail: float = 3.0,
        roughness: float = 0.55,
        distortion: float = 0.0,
    ) -> bpy.types.Node:
        """Perlin noise; output 0 is the factor, "Color" three independent channels."""
        return self.node(
            "ShaderNodeTexNoise",
            {
                "Vector": vector,
                "Scale": scale,
                "Detail": detail,
                "Roughness": roughness,
                "Distortion": distortion,
            },
            noise_dimensions="3D",
        )

    def separate(self, vector: Any) -> tuple[Socket, Socket, Socket]:
        """The x, y and z of a vector."""
        return tuple(self.node("ShaderNodeSeparateXYZ", {0: vector}).outputs)

    def principled(self, **inputs: Any) -> bpy.types.Node:
        """A Principled BSDF; keywords name its inputs with underscores for spaces.

        `base_colour` is accepted for "Base Color"; every other keyword must match an input, so a
        misspelt one raises `KeyError`.
        """
        node = self.node("ShaderNodeBsdfPrincipled")
        names = {socket.name.lower().replace(" ", "_"): socket.name for socket in node.inputs}
        names["base_colour"] = "Base Color"
        for keyword, value in inputs.items():
            self.set(node, names[keyword], value)
        return node
