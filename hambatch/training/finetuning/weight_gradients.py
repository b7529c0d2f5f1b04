"""Gradients of kernels as matrix products: on AMX those of convolutions take most of a step."""

from pathlib import Path
from typing import Any

from hambatch.backends.keras_network import keras_for
from hambatch.system.cpu import processor_flags
from hambatch.training.compute import PURPOSE, tensorflow


def are_products_faster(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Tell whether this processor has AMX for bfloat16.

    There oneDNN 3.7 needs three to ten times as long for the gradient of a kernel of one pixel as
    for the matrix product that gives the same numbers.
    """
    return "amx_bf16" in processor_flags(cpuinfo)


def with_product(convolution: Any) -> Any:
    """Compute what a Keras convolution does, the gradient of its kernel by a matrix product.

    Only for kernels of one pixel: they see only the pixels that their stride keeps. For kernels of
    3 x 3 pixels the inputs would have to be copied nine times, and nothing is gained.

    Returns
    -------
    A Keras layer with the convolution's own weights; the convolution itself for larger kernels.
    """
    keras, tf = keras_for(PURPOSE), tensorflow()
    if convolution.kernel_size != (1, 1):
        return convolution

    class OnePixel(keras.layers.Layer):  # type: ignore[misc, name-defined, unused-ignore]
        def compute_output_shape(self, shape: Any) -> Any:
            return convolution.compute_output_shape(shape)

        def call(self, images: Any) -> Any:
            step = convolution.strides[0]
            seen = images[:, ::step, ::step, :] if step > 1 else images
            return tf.nn.bias_add(_convolve(seen, convolution.kernel.value), convolution.bias)

    return OnePixel(name=f"{convolution.name}_with_product")


def _convolve(images: Any, kernel: Any) -> Any:
    tf = tensorflow()

    @tf.custom_gradient  # type: ignore[untyped-decorator, unused-ignore]
    def convolution(images: Any, kernel: Any) -> Any:
        def gradients(upstream: Any) -> tuple[Any, Any]:
            inputs, outputs = kernel.shape[2:]
            of_kernel = tf.matmul(
                tf.reshape(images, [-1, inputs]),
                tf.reshape(upstream, [-1, outputs]),
                transpose_a=True,
            )
            of_images = tf.raw_ops.Conv2DBackpropInput(
                input_sizes=tf.shape(images),
                filter=kernel,
                out_backprop=upstream,
                strides=[1, 1, 1, 1],
                padding="VALID",
            )
            return of_images, tf.reshape(of_kernel, kernel.shape)

        return tf.nn.conv2d(images, kernel, 1, "VALID"), gradients

    return convolution(images, kernel)
