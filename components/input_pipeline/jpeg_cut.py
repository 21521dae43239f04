"""Decoding of a window of a stored JPEG, without decoding the rest."""

from typing import NamedTuple

import tensorflow as tf

# Width in pixels of a block in a JPEG with colour at half resolution; a multiple of the 8 of other JPEGs.
_BLOCK_WIDTH = 16


class JpegCut(NamedTuple):
    """Window of a JPEG, as the part to decode and the place of the window within that part.

    It is computed for a block of windows at a time: image by image, it would take as much time as reading the records.

    Attributes:
        decoded: Top, left, height and width of the part to decode in pixels, int32 (4,).
        begin: Top and left of the window within that part, and 0, int32 (3,).
        size: Height and width of the window, and the 3 channels, int32 (3,).
        mirrored: Whether the window is mirrored, bool scalar.
    """

    decoded: tf.Tensor
    begin: tf.Tensor
    size: tf.Tensor
    mirrored: tf.Tensor


def jpeg_cuts(windows: tf.Tensor, image_width: int) -> JpegCut:
    """Converts windows to cuts of JPEGs that already have the size in which they are used.

    Args:
        windows: Windows, int32 (windows, 5), see `components.input_pipeline.crops.CropPlan`.
        image_width: Width of the images in pixels.

    Returns:
        The cuts; the first axis of each field is that of the windows.

    Example:
        >>> cut = jpeg_cuts(tf.constant([[5, 20, 31, 31, 0]]), image_width=64)
        >>> cut.decoded.numpy().tolist(), cut.begin.numpy().tolist()
        ([[5, 16, 31, 36]], [[0, 4, 0]])
    """
    # Colour at half resolution is interpolated from its neighbours. At a window's edge between two blocks the decoder
    # lacks them and is up to 6 grey levels off; one more column on each side supplies them. A part that begins with a
    # block saves a quarter of the decoder's time, because otherwise it moves every row. Rows need neither.
    top, left, height, width, mirrored = tf.unstack(windows, 5, axis=1)
    start = tf.maximum(left - 1, 0) // _BLOCK_WIDTH * _BLOCK_WIDTH
    end = tf.minimum(left + width + 1, image_width)
    zero = tf.zeros_like(top)
    return JpegCut(
        decoded=tf.stack([top, start, height, end - start], axis=1),
        begin=tf.stack([zero, left - start, zero], axis=1),
        size=tf.stack([height, width, zero + 3], axis=1),
        mirrored=mirrored > 0,
    )


def decode_cut(image_bytes: tf.Tensor, cut: JpegCut) -> tf.Tensor:
    """Decodes a window of a JPEG; every pixel equals that of the whole decoded image.

    Nearly the whole file must be read anyway, so decoding is hardly faster, but less is left to cut. The ingest
    guarantees the size for a whole data set, because checking it file by file costs a third of the decoding.

    Args:
        image_bytes: Grey or colour JPEG that already has the size in which it is used, string scalar.
        cut: Cut of one window.

    Returns:
        uint8 (height of the window, width of the window, 3), not mirrored.
    """
    # The default method of the cosine transform is the same as in `tf.io.decode_image`.
    image = tf.image.decode_and_crop_jpeg(image_bytes, cut.decoded, channels=3)
    return tf.ensure_shape(tf.slice(image, cut.begin, cut.size), (None, None, 3))
