"""The networks of the experiments in Keras, trained by `model.fit` and by `tf.function`: a program for `peers.py`."""

import time
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers
from own_process import Task, answer

BATCH = 64
NORMALIZERS: dict[str, Callable[[], list[Any]]] = {
    "none": list,
    "tf_layers": lambda: [layers.BatchNormalization(momentum=0.99, epsilon=1e-3)],
    "slim": lambda: [layers.BatchNormalization(momentum=0.999, epsilon=1e-3, scale=False)],
    "batch_norm_1d": lambda: [
        layers.BatchNormalization(
            momentum=0.1,
            epsilon=1e-5,
            gamma_initializer=keras.initializers.RandomNormal(stddev=1.0),
            beta_initializer=keras.initializers.RandomNormal(stddev=1.0),
            moving_variance_initializer="zeros",
        )
    ],
}


def network(name: str, normalizer: str) -> Any:
    """Return the network; Keras's starting weights, Glorot uniform, and biases, zero, are the experiments' own."""
    normalized = NORMALIZERS[normalizer]
    bias = normalizer in ("none", "batch_norm_1d")
    stack = [keras.Input((28, 28, 1))]
    if name == "deep_cnn":
        for i in range(1, 20):
            stack.append(layers.Conv2D(4 * i, 3, strides=2 if i % 3 == 0 else 1, padding="same", use_bias=bias))
            stack += [*normalized(), layers.ReLU()]
        stack += [layers.Flatten(), layers.Dense(100, use_bias=bias), *normalized(), layers.ReLU()]
    elif name == "convnet":
        for channels, side in ((6, 3), (16, 5)):
            stack.append(layers.Conv2D(channels, side, padding="same", use_bias=bias))
            stack += [*normalized(), layers.ReLU(), layers.MaxPooling2D(2)]
        stack.append(layers.Flatten())
    else:
        stack += [layers.Flatten(), layers.Dense(100, use_bias=bias), *normalized(), layers.ReLU()]
    return keras.Sequential([*stack, layers.Dense(10)])


def training(name: str, labels: Any) -> tuple[Any, Any, Any]:
    """Return loss, optimizer and labels as the loss wants them."""
    if name == "deep_cnn":
        one_hot = np.eye(10, dtype=np.float32)[labels]
        return keras.losses.BinaryCrossentropy(from_logits=True), keras.optimizers.Adam(0.002, epsilon=1e-8), one_hot
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True), keras.optimizers.SGD(0.1), labels


def model_fit(task: Task, model: Any, images: Any, labels: Any) -> Callable[[], float]:
    """Time `model.fit` over arrays, compiled and shuffled by its defaults, in epochs of whole batches."""
    loss, optimizer, labels = training(task.network, labels)
    model.compile(optimizer, loss)
    model.fit(images[:BATCH], labels[:BATCH], batch_size=BATCH, verbose=0)  # builds its graph
    per_epoch = min(task.updates, len(images) // BATCH)
    epochs, used = max(1, task.updates // per_epoch), per_epoch * BATCH

    def timing() -> float:
        start = time.perf_counter()
        model.fit(images[:used], labels[:used], batch_size=BATCH, epochs=epochs, verbose=0)
        return epochs * per_epoch / (time.perf_counter() - start)

    return timing


def tf_function(task: Task, model: Any, images: Any, labels: Any, in_graph: bool) -> Callable[[], float]:
    """Time a step in a `tf.function` over tensors in memory, called for each update or looped over in the graph."""
    loss, optimizer, labels = training(task.network, labels)
    all_images, all_labels = tf.constant(images), tf.constant(labels)
    optimizer.build(model.trainable_variables)

    def update(indices: Any) -> Any:
        batch, wanted = tf.gather(all_images, indices), tf.gather(all_labels, indices)
        with tf.GradientTape() as tape:
            value = loss(wanted, model(batch, training=True))
        gradients = tape.gradient(value, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
        return value

    def updates(order: Any) -> Any:
        value = tf.constant(0.0)
        for number in tf.range(tf.shape(order)[0]):
            value = update(order[number])
        return value

    def called_for_each(order: Any) -> Any:
        for indices in order:
            value = step(indices)
        return value

    step = tf.function(update)
    shape = tf.TensorSpec((None, BATCH), tf.int32)
    run = tf.function(updates, input_signature=[shape]) if in_graph else called_for_each

    def orders() -> Any:
        """Yield the shuffled batches of one epoch after the other, (updates, 64) each, as many as are asked for."""
        for first in range(0, task.updates, len(images) // BATCH):
            here = min(len(images) // BATCH, task.updates - first)
            yield tf.reshape(tf.random.shuffle(tf.range(len(images)))[: here * BATCH], (here, BATCH))

    def timing() -> float:
        start = time.perf_counter()
        for order in orders():
            last = run(order)
        last.numpy()
        return task.updates / (time.perf_counter() - start)

    run(tf.reshape(tf.range(BATCH), (1, BATCH)))  # builds its graph
    return timing


def prepare(task: Task) -> tuple[int, Callable[[], float]]:
    keras.backend.clear_session()
    tf.config.threading.set_intra_op_parallelism_threads(task.threads)
    tf.config.threading.set_inter_op_parallelism_threads(task.threads)
    with np.load(task.data) as data:
        images, labels = data["images"][..., np.newaxis].astype(np.float32) / 255, data["labels"]
    model = network(task.network, task.normalizer)
    if task.side == "model.fit":
        timing = model_fit(task, model, images, labels)
    else:
        timing = tf_function(task, model, images, labels, in_graph=task.side == "tf.function, loop inside")
    return sum(int(np.prod(variable.shape)) for variable in model.trainable_variables), timing


if __name__ == "__main__":
    answer(prepare)
