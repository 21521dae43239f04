"""Preprocessing of encoded images to pixels; Transform, the input pipeline and the exported model all call it."""

import tensorflow as tf


def decode(image_bytes: tf.Tensor) -> tf.Tensor:
    """Decodes one JPEG, PNG, GIF (first frame) or BMP.

    Args:
        image_bytes: Encoded image, string scalar.

    Returns:
        uint8 (height, width, 3).

    Raises:
        tf.errors.InvalidArgumentError: The bytes are not an image in one of these formats.
    """
    # A BMP is decoded with its own number of channels: TensorFlow cannot convert grey or transparent ones to three.
    is_bmp = tf.equal(tf.strings.substr(image_bytes, 0, 2), b"BM")
    image = tf.cond(
        is_bmp,
        lambda: _three_channels(tf.io.decode_bmp(image_bytes)),
        lambda: tf.io.decode_image(image_bytes, channels=3, expand_animations=False),
    )
    return tf.ensure_shape(image, (None, None, 3))


def _three_channels(image: tf.Tensor) -> tf.Tensor:
    return tf.cond(tf.shape(image)[2] < 3, lambda: tf.tile(image[..., :1], (1, 1, 3)), lambda: image[..., :3])


def prepare(image_bytes: tf.Tensor, image_size: tuple[int, int], channels: int) -> tf.Tensor:
    """Decodes an image and converts it to a size and a number of channels.

    The image is resized in proportion, with antialiasing, until it covers `image_size`, and the centre is cut out. An
    image that has the size already is not resized.

    Args:
        image_bytes: Encoded image, string scalar.
        image_size: Height and width in pixels.
        channels: 1 (grey, ITU-R 601 weights) or 3 (RGB).

    Returns:
        uint8 (height, width, channels). Grey levels are rounded so that training and serving see the same values.

    Example:
        >>> photo = tf.io.encode_png(tf.fill((30, 40, 3), tf.constant(200, tf.uint8)))
        >>> prepared = prepare(photo, image_size=(8, 8), channels=1)
        >>> prepared.shape.as_list(), int(tf.reduce_min(prepared)), int(tf.reduce_max(prepared))
        ([8, 8, 1], 200, 200)
    """
    image = decode(image_bytes)
    if channels == 1:
        image = _grey(image)
    height, width = image_size
    same = tf.reduce_all(tf.equal(tf.shape(image)[:2], (height, width)))
    image = tf.cond(same, lambda: image, lambda: _resize_and_crop(image, height, width))
    return tf.ensure_shape(image, (height, width, channels))


def _grey(image: tf.Tensor) -> tf.Tensor:
    # The weights add up to exactly 1, so that a grey image stored as RGB keeps its levels.
    weights = tf.constant((0.299, 0.587, 0.114))
    grey = tf.reduce_sum(tf.cast(image, tf.float32) * weights, axis=-1, keepdims=True)
    return tf.cast(tf.round(grey), tf.uint8)


def _resize_and_crop(image: tf.Tensor, height: int, width: int) -> tf.Tensor:
    size = tf.cast(tf.shape(image)[:2], tf.float32)
    scale = tf.maximum(height / size[0], width / size[1])
    new_size = tf.maximum(tf.cast(tf.round(size * scale), tf.int32), (height, width))
    resized = tf.image.resize(image, new_size, antialias=True)
    top, left = (new_size[0] - height) // 2, (new_size[1] - width) // 2
    crop = resized[top : top + height, left : left + width]
    return tf.cast(tf.clip_by_value(tf.round(crop), 0, 255), tf.uint8)


def prepare_batch(image_bytes: tf.Tensor, image_size: tuple[int, int], channels: int) -> tf.Tensor:
    """Applies `prepare` to a batch.

    Args:
        image_bytes: Encoded images, string (batch,).
        image_size: Height and width in pixels.
        channels: 1 (grey, ITU-R 601 weights) or 3 (RGB).

    Returns:
        uint8 (batch, height, width, channels).
    """
    return tf.map_fn(
        lambda data: prepare(data, image_size, channels),
        image_bytes,
        fn_output_signature=tf.TensorSpec((*image_size, channels), tf.uint8),
    )
