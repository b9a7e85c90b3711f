"""Colours as painters mix them. RGB arrays (..., 3) in 0..1, float32."""

from __future__ import annotations

import numpy as np

LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601


def rgb(words: str) -> np.ndarray:
    """'ff0000 00ff00' as (2, 3) float32."""
    colours = [list(bytes.fromhex(word)) for word in words.split()]
    return np.array(colours, np.float32) / 255


def luma(colour: np.ndarray) -> np.ndarray:
    """(..., 3) colours -> (...) their luma."""
    return colour @ LUMA


def saturate(colour: np.ndarray, gain: float) -> np.ndarray:
    """Away from the grey of the same brightness; a gain below 1 goes towards it."""
    grey = luma(colour)[..., None]
    return np.clip(grey + gain * (colour - grey), 0, 1)


def rotate_hue(colour: np.ndarray, degrees: float) -> np.ndarray:
    """Turn colours around the axis of greys (Rodrigues' formula)."""
    turn = np.deg2rad(degrees)
    axis = np.full(3, 3**-0.5)
    cross = np.cross(np.eye(3), axis)
    matrix = np.cos(turn) * np.eye(3) + (1 - np.cos(turn)) / 3 + np.sin(turn) * cross
    return np.clip(colour @ matrix.astype(np.float32), 0, 1)


def nearest(colour: np.ndarray, palette: np.ndarray) -> np.ndarray:
    """For each colour (..., 3) the index of the nearest in the palette (K, 3)."""
    gaps = [((colour - paint) ** 2).sum(-1) for paint in palette]
    return np.argmin(gaps, axis=0)


def curve(colour: np.ndarray, dark: np.ndarray, light: np.ndarray) -> np.ndarray:
    """The brightness of colours (...), black to white, as a mixture of two paints (..., 3)."""
    return dark + np.asarray(colour)[..., None] * (light - dark)
