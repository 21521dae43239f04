"""Which part of an image a network sees: random windows in training, the centre or ten windows in evaluation."""

from dataclasses import dataclass
from typing import NamedTuple

import tensorflow as tf

from components.input_pipeline import preprocessing

# Windows drawn at a time: 22 to 47 us of processor time each so, reading them included. A fixed number, because it
# must not depend on the batch size.
_BLOCK = 1024
_BLOCK_WIDTH = 16  # pixels, of a JPEG whose colours have half the resolution; a multiple of the others' 8
_AREA = (0.08, 1.0)
_RATIO = (3 / 4, 4 / 3)


@dataclass(frozen=True)
class CropPlan:
    """How windows are cut out of the images.

    A window is int32 (top, left, height, width, mirrored): pixels of the image, and 1 where it is to be mirrored left
    to right. Those of a training are decided by the seed, the number of the epoch and the image's place in the order
    of the epoch alone, whatever the batch size: a training that is resumed sees what it would have seen.

    Args:
        size: Height and width in pixels of what is cut out.
        mirror: Mirrors every other image of a training, at random.
        resized: Random resized crops: each window of a training takes 8 to 100 % of the image's area, has an aspect
            ratio (width over height, uniform in its logarithm) of 3/4 to 4/3, is cut at the image's borders where it
            exceeds them, and is resized to `size`. Otherwise a window has `size`, as in AlexNet's paper.
        seed: Integer.

    Raises:
        ValueError: A size below one pixel.
    """

    size: tuple[int, int]
    mirror: bool = True
    resized: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        if len(self.size) != 2 or min(self.size) < 1:
            raise ValueError(f"A crop's size is a height and a width of at least 1 pixel, not {self.size}.")

    def random_windows(self, image_size: tuple[int, int], epoch: tf.Tensor) -> tf.data.Dataset:
        """Endless blocks of windows, int32 (1024, 5); row i of block b is of the epoch's image 1024 b + i.

        Args:
            image_size: Height and width in pixels of the images.
            epoch: int64 scalar.

        Raises:
            ValueError: The images are smaller than the crop.
        """
        self._check_fits(image_size)
        seed = tf.stack([tf.constant(self.seed, tf.int64), epoch])

        def block(number: tf.Tensor) -> tf.Tensor:
            key = tf.random.experimental.stateless_fold_in(seed, number)
            return self._windows(tf.random.stateless_uniform((_BLOCK, 5), key), image_size)

        return tf.data.Dataset.range(tf.int64.max).map(block)

    def centre_windows(self, image_size: tuple[int, int]) -> tf.data.Dataset:
        """Endless blocks of the window in the centre, int32 (1024, 5), not mirrored.

        With `resized`, it is the largest one of the crop's aspect ratio.

        Args:
            image_size: Height and width in pixels of the images.

        Raises:
            ValueError: The images are smaller than the crop.
        """
        self._check_fits(image_size)
        height, width = self.size
        if self.resized:
            scale = min(image_size[0] / height, image_size[1] / width)
            height, width = max(1, round(height * scale)), max(1, round(width * scale))
        top, left = (image_size[0] - height) // 2, (image_size[1] - width) // 2
        return tf.data.Dataset.from_tensors(tf.tile([[top, left, height, width, 0]], (_BLOCK, 1))).repeat()

    def finish(self, image: tf.Tensor, mirrored: tf.Tensor) -> tf.Tensor:
        """What was cut out of an image, resized where the plan says so and mirrored where the window is.

        Args:
            image: uint8 (height of the window, width of the window, channels).
            mirrored: bool scalar, looked at where the plan mirrors.

        Returns:
            uint8 (*size, channels).
        """
        if self.resized:
            resized = tf.image.resize(image, self.size, antialias=True)
            image = tf.cast(tf.clip_by_value(tf.round(resized), 0, 255), tf.uint8)
        if self.mirror:
            image = tf.cond(mirrored, lambda: tf.reverse(image, (1,)), lambda: image)
        return tf.ensure_shape(image, (*self.size, image.shape[-1]))

    def _windows(self, numbers: tf.Tensor, image_size: tuple[int, int]) -> tf.Tensor:
        """Uniform numbers in [0, 1), float32 (windows, 5), to windows."""
        up, across, mirrored, area, ratio = tf.unstack(numbers, axis=1)
        if self.resized:
            height, width = _random_size(area, ratio, image_size)
        else:
            height, width = (tf.fill(tf.shape(up), pixels) for pixels in self.size)
        # The largest float32 below 1 times a whole number stays below that number: no window leaves the image.
        top = tf.cast(up * tf.cast(image_size[0] - height + 1, tf.float32), tf.int32)
        left = tf.cast(across * tf.cast(image_size[1] - width + 1, tf.float32), tf.int32)
        return tf.stack([top, left, height, width, tf.cast(mirrored < 0.5, tf.int32)], axis=1)

    def _check_fits(self, image_size: tuple[int, int]) -> None:
        if not self.resized and (image_size[0] < self.size[0] or image_size[1] < self.size[1]):
            raise ValueError(f"A crop of {self.size} pixels does not fit in images of {tuple(image_size)}.")


def _random_size(area: tf.Tensor, ratio: tf.Tensor, image_size: tuple[int, int]) -> tuple[tf.Tensor, tf.Tensor]:
    pixels = (_AREA[0] + area * (_AREA[1] - _AREA[0])) * (image_size[0] * image_size[1])
    low, high = (tf.math.log(tf.constant(bound, tf.float32)) for bound in _RATIO)
    root = tf.exp((low + ratio * (high - low)) / 2)
    sides = (tf.sqrt(pixels) / root, tf.sqrt(pixels) * root)
    height, width = (
        tf.clip_by_value(tf.cast(tf.round(side), tf.int32), 1, limit)
        for side, limit in zip(sides, image_size, strict=True)
    )
    return height, width


def prepare_window(image_bytes: tf.Tensor, window: tf.Tensor, image_size: tuple[int, int], channels: int) -> tf.Tensor:
    """A window of an image that is brought to `image_size` and to `channels`.

    Args:
        image_bytes: string scalar, of any format and size.
        window: int32 (5,), see `CropPlan`.
        image_size: Height and width in pixels.
        channels: 1 (grey) or 3.

    Returns:
        uint8 (height of the window, width of the window, channels), not mirrored.
    """
    prepared = preprocessing.prepare(image_bytes, image_size, channels)
    cut = tf.slice(prepared, (window[0], window[1], 0), (window[2], window[3], channels))
    return tf.ensure_shape(cut, (None, None, channels))


class JpegCut(NamedTuple):
    """A window as what its JPEG is to be decoded to, and what of that is the window.

    All of the arithmetic is done for a block of windows at a time: done image by image it takes as much computing as
    reading the records.

    Attributes:
        decoded: int32 (4,): top, left, height and width in pixels of the part that is decoded.
        begin: int32 (3,): where the window begins in that part.
        size: int32 (3,): its height, width and the 3 channels.
        mirrored: bool scalar.
    """

    decoded: tf.Tensor
    begin: tf.Tensor
    size: tf.Tensor
    mirrored: tf.Tensor


def jpeg_cuts(windows: tf.Tensor, image_width: int) -> JpegCut:
    """Windows as cuts of JPEGs that have the wanted size already.

    Args:
        windows: int32 (windows, 5), see `CropPlan`.
        image_width: Pixels.

    Returns:
        The cuts, each field with the windows as its first axis.
    """
    # A colour stored at half the resolution is interpolated from its neighbours, which the decoder lacks where the
    # window begins or ends between two blocks: up to 6 grey levels off there. One more column on each side gives it
    # them. Beginning with a block saves the decoder a quarter of its time, for it moves every row otherwise. Rows need
    # neither.
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
    """A window of a JPEG that has the wanted size already, equal to that of the whole in every pixel.

    Nearly all of the file has to be read either way, so that this is hardly less work than decoding the whole; but
    there is less to cut afterwards. Asking of every file whether it is such a one costs a third of its decoding, so it
    is the ingest that promises it for all of a data set.

    Args:
        image_bytes: string scalar, a grey or colour JPEG.
        cut: Of one window.

    Returns:
        uint8 (height of the window, width of the window, 3), not mirrored.
    """
    # The default method of the cosine transform is that of `decode_image`.
    image = tf.image.decode_and_crop_jpeg(image_bytes, cut.decoded, channels=3)
    return tf.ensure_shape(tf.slice(image, cut.begin, cut.size), (None, None, 3))


def gather_windows(images: tf.Tensor, indices: tf.Tensor, windows: tf.Tensor, size: tuple[int, int]) -> tf.Tensor:
    """Windows of one size out of many images, mirrored where they say so, in one operation.

    6 ns a pixel on one core, whereas cutting image by image takes 60 us each and next to nothing a pixel.

    Args:
        images: (images, height, width, channels).
        indices: int64 (batch,), of the images.
        windows: int32 (batch, 5), all of `size`.
        size: Height and width in pixels.

    Returns:
        (batch, *size, channels), of the images' type.
    """
    height, width, channels = images.shape[1:]
    top, left, mirrored = (tf.cast(windows[:, column, None], tf.int64) for column in (0, 1, 4))
    across = tf.range(size[1], dtype=tf.int64)
    rows = indices[:, None] * height + top + tf.range(size[0], dtype=tf.int64)
    columns = left + tf.where(mirrored > 0, size[1] - 1 - across, across)
    return tf.gather(tf.reshape(images, (-1, channels)), rows[:, :, None] * width + columns[:, None])


def ten_crops(images: tf.Tensor, size: tuple[int, int]) -> tf.Tensor:
    """The ten windows whose predictions AlexNet's paper averages: four corners and centre, and their mirror images.

    Args:
        images: (N, height, width, channels) of any type.
        size: Height and width in pixels of a window.

    Returns:
        (10 N, *size, channels). Rows 10 i to 10 i + 9 are of image i: top left, top right, bottom left, bottom right,
        centre, and the same five mirrored left to right.

    Raises:
        ValueError: The images are smaller than the windows.
    """
    images = tf.convert_to_tensor(images)
    down, across = images.shape[1] - size[0], images.shape[2] - size[1]
    if down < 0 or across < 0:
        raise ValueError(f"Ten crops of {tuple(size)} pixels do not fit in images of {tuple(images.shape[1:3])}.")
    corners = [(0, 0), (0, across), (down, 0), (down, across), (down // 2, across // 2)]
    five = tf.stack([images[:, top : top + size[0], left : left + size[1]] for top, left in corners], axis=1)
    ten = tf.concat([five, tf.reverse(five, (3,))], axis=1)
    return tf.reshape(ten, (-1, *size, images.shape[3]))
