"""A SavedModel with the tensor names of the published network, made with TensorFlow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

v1 = tf.compat.v1


def _convolved(images: Any, maps: int, rng: np.random.Generator, *, variables: bool) -> Any:
    shape = (3, 3, images.shape[-1], maps)
    start = rng.normal(0, np.sqrt(2 / np.prod(shape[:3])), shape).astype(np.float32)
    kernel = v1.Variable(start) if variables else tf.constant(start)
    return tf.nn.relu(tf.nn.conv2d(images, kernel, strides=2, padding="SAME"))


def _mean_of_maps(images: Any, rng: np.random.Generator, *, variables: bool) -> Any:
    """Return the means of the last of seven layers, of the middle 256 x 256 pixels."""
    images = v1.image.resize_with_crop_or_pad(images, 256, 256) / 255.0
    for maps in (8, 16, 16, 32, 32, 32, 32):
        images = _convolved(images, maps, rng, variables=variables)
    return tf.reduce_mean(images, [1, 2])


def made_up_network(
    *,
    variables: bool = False,
    batch: int | None = 1,
    dtype: str = "float32",
    size: int = 512,
    image: str = "ImageTensor",
    output: str = "clip_by_value",
    level: float = 0.25,
) -> Any:
    """Return a graph: two stacks of convolutions and two numbers, joined to one number from 0 to 1."""
    rng = np.random.default_rng(3)
    graph = tf.Graph()
    with graph.as_default():
        images = v1.placeholder(dtype, (batch, size, size, 10), image)
        low_res = v1.placeholder(tf.float32, (batch, size, size, 4), "LowResImageTensor")
        aux = v1.placeholder(tf.float32, (batch, 2), "AuxTensor")
        maps = [_mean_of_maps(tf.cast(each, tf.float32), rng, variables=variables) for each in (images, low_res)]
        joined = tf.concat([*maps, aux], 1)
        weights = rng.normal(0, 0.05, (joined.shape[-1], 1)).astype(np.float32)
        tf.clip_by_value(tf.matmul(joined, tf.constant(weights)) + level, 0.0, 1.0, name=output)
    return graph


def write_saved_model(folder: Path, graph: Any, tag: str = "serve") -> Path:
    """Write a graph as a SavedModel without signatures, as the authors' script loads it."""
    with v1.Session(graph=graph) as session:
        with graph.as_default():
            session.run(v1.global_variables_initializer())
            builder = v1.saved_model.Builder(str(folder))
            builder.add_meta_graph_and_variables(session, [tag])
            builder.save()
    return folder
