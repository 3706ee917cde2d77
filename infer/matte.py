"""The matte: which part of a photo is the person, with soft edges and clean edge colours."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from infer.faces import load_mediapipe, quiet_native_log, quiet_protobuf

_GUIDE_RADIUS_FRACTION = 1 / 64
"""Radius of the guided filter over the side of the image; the network's mask is 256 px wide."""
_GUIDE_EPSILON = 1e-4
"""Colour variance below which the guided filter treats a region as flat (colour in [0, 1])."""


class PersonSegmenter:
    """mediapipe's person segmentation (256 x 256 network in its wheel); one per process.

    Raises:
        DeviceError: mediapipe does not load.
    """

    def __init__(self) -> None:
        solutions = load_mediapipe()
        with quiet_native_log(), quiet_protobuf():
            self._network = solutions.selfie_segmentation.SelfieSegmentation(model_selection=0)
            self._network.process(np.zeros((64, 64, 3), np.uint8))  # its threads print at the start

    def probability(self, rgb: np.ndarray) -> np.ndarray:
        """How likely each pixel shows a person.

        Args:
            rgb: [H, W, 3] uint8, sRGB; best when the person fills most of it.

        Returns:
            [H, W] float32 in [0, 1].
        """
        with quiet_native_log(), quiet_protobuf():
            result = self._network.process(np.ascontiguousarray(rgb))
        return np.clip(np.asarray(result.segmentation_mask, np.float32), 0.0, 1.0)


def refine(rgb: np.ndarray, probability: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Turn the network's coarse probability into a matte.

    The edge is moved onto the edges of the photo by a guided filter (He, Sun, Tang 2010, equations
    5, 6 and 8, grey guide), hardened to a soft step, and reduced to the one connected person.

    Args:
        rgb: [H, W, 3] float in [0, 1].
        probability: [H, W] float in [0, 1].
        inside: [H, W] bool, pixels certainly of the person (the face); picks the component.

    Returns:
        [H, W] float32 alpha in [0, 1].
    """
    radius = max(round(max(probability.shape) * _GUIDE_RADIUS_FRACTION), 1)
    guide = rgb @ np.array([0.299, 0.587, 0.114])
    smooth = _guided_filter(guide, probability.astype(np.float64), radius, _GUIDE_EPSILON)
    alpha = _smoothstep(smooth, 0.2, 0.8)
    # Landmarks on the outline may lie a little outside, where the edge must stay soft.
    alpha[ndimage.binary_erosion(inside, iterations=radius)] = 1.0
    person = largest_component(alpha > 0.5, inside)
    # Soft pixels belong to the person they touch; everything further away is another object.
    near = ndimage.binary_dilation(person, iterations=radius)
    holes = ndimage.binary_fill_holes(person) & ~person
    holes &= ~_large_components(holes, 0.01 * holes.size)  # an arm on the hip encloses background
    return np.where(holes, 1.0, np.where(near, alpha, 0.0)).astype(np.float32)


def largest_component(mask: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """The connected part of a mask that holds most of `inside` (the largest if none does).

    Args:
        mask: [H, W] bool.
        inside: [H, W] bool.

    Returns:
        [H, W] bool; empty if the mask is empty.
    """
    labels, count = ndimage.label(mask)
    if count == 0:
        return np.zeros_like(mask)
    votes = np.bincount(labels[inside & mask], minlength=count + 1)
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    scores = votes if votes[1:].any() else sizes
    scores[0] = 0
    return labels == int(np.argmax(scores))


def clean_edge_colours(rgb: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Replace the colour of soft pixels by that of the solid ones nearby.

    In a photo a half covered pixel also holds the old background, which would shine as a halo on
    the new one. Each pixel that is not solid takes the mean of the solid colours around it, from
    the smallest neighbourhood that has any.

    Args:
        rgb: [H, W, 3] float in [0, 1].
        alpha: [H, W] float in [0, 1].

    Returns:
        [H, W, 3] float32, unchanged where alpha is at least 0.97; straight, not premultiplied.
    """
    solid = (alpha >= 0.97).astype(np.float64)
    result = rgb.astype(np.float64).copy()
    missing = solid == 0
    for sigma in (1.5, 3.0, 6.0, 12.0, 24.0):
        weight = ndimage.gaussian_filter(solid, sigma)
        usable = missing & (weight > 0.02)
        for channel in range(3):
            blurred = ndimage.gaussian_filter(rgb[..., channel] * solid, sigma)
            result[..., channel][usable] = blurred[usable] / weight[usable]
        missing &= ~usable
        if not (missing & (alpha > 0)).any():
            break
    return result.astype(np.float32)


def _guided_filter(
    guide: np.ndarray, source: np.ndarray, radius: int, epsilon: float
) -> np.ndarray:
    def mean(values: np.ndarray) -> np.ndarray:
        return ndimage.uniform_filter(values, 2 * radius + 1, mode="nearest")

    mean_guide, mean_source = mean(guide), mean(source)
    covariance = mean(guide * source) - mean_guide * mean_source
    variance = mean(guide * guide) - mean_guide**2
    slope = covariance / (variance + epsilon)
    offset = mean_source - slope * mean_guide
    return mean(slope) * guide + mean(offset)


def _smoothstep(values: np.ndarray, low: float, high: float) -> np.ndarray:
    t = np.clip((values - low) / (high - low), 0.0, 1.0)
    return t * t * (3 - 2 * t)


def _large_components(mask: np.ndarray, min_pixels: float) -> np.ndarray:
    labels, _ = ndimage.label(mask)
    large = np.bincount(labels.ravel()) > min_pixels
    large[0] = False
    return large[labels]
