"""Names that all nodes share: splits, features of an example, verdicts on an image, files of the Examples artifact."""

import itertools

TRAIN = "train"
VALIDATION = "validation"
TEST = "test"
SPLITS = (TRAIN, VALIDATION, TEST)

IMAGE = "image"  # bytes: the encoded image, JPEG or PNG
LABEL = "label"  # int64: index into labels.txt
LABEL_NAME = "label_name"  # bytes: UTF-8
FILE_NAME = "file_name"  # bytes: UTF-8; path below the data folder, or the TFDS id
WIDTH = "width"  # int64: pixels of the source's file, even if the stored image is smaller
HEIGHT = "height"  # int64: pixels of the source's file, even if the stored image is smaller
BYTES = "bytes"  # int64: length of IMAGE
LUMINANCE = "luminance"  # float: mean of IMAGE in grey levels, 0 to 255
LUMINANCE_BAND = "luminance_band"  # bytes: see `luminance_band`; a slice of the evaluation
SIZE_BAND = "size_band"  # bytes: see `size_band`; a slice of the evaluation
WORDNET = "wordnet"  # bytes: kind of the class, such as "dog"; a slice of the evaluation; absent without WordNet

# Features that StatisticsGen, SchemaGen and Transform read. The others are left out because a schema learnt from the
# training images would report their values as anomalies: every file name is new, and a band may be.
CHECKED_FEATURES = (IMAGE, LABEL, LABEL_NAME, WIDTH, HEIGHT, BYTES, LUMINANCE)

# Verdicts on an image in the manifest; an image with any other verdict than OK is in quarantine.
OK = "ok"
EMPTY = "empty"
NO_IMAGE = "no image"
DAMAGED = "damaged"
TOO_LARGE = "too large"
TOO_SMALL = "too small"
BAD_LABEL = "label out of range"  # the label is not the index of a class

# Quality of the JPEGs that ingest writes, of libjpeg's 100, with colour at half resolution; 90 would save a third.
JPEG_QUALITY = 95

# Files at the root of the Examples artifact, beside the folders of the splits.
LABELS_FILE = "labels.txt"
MANIFEST_FILE = "manifest.parquet"
QUARANTINE_FILE = "quarantine.jsonl"

# The bounds of the bands are fixed so that a slice means the same in every data set.
_SIZES = (32, 64, 128, 256, 512)
_LUMINANCES = ((85, "dark"), (170, "medium"))


def split_folder(split: str) -> str:
    """Returns TFX's name for the folder of a split in an artifact: "Split-train" for "train"."""
    return f"Split-{split}"


def size_band(width: int, height: int) -> str:
    """Returns the band of an image's shorter side.

    Args:
        width: Width in pixels.
        height: Height in pixels.

    Returns:
        "below 32", "32 to 63", "64 to 127", "128 to 255", "256 to 511" or "512 and above".

    Example:
        >>> size_band(width=640, height=255)
        '128 to 255'
    """
    side = min(width, height)
    if side < _SIZES[0]:
        return f"below {_SIZES[0]}"
    for low, high in itertools.pairwise(_SIZES):
        if side < high:
            return f"{low} to {high - 1}"
    return f"{_SIZES[-1]} and above"


def luminance_band(luminance: float) -> str:
    """Returns the band of an image's mean luminance.

    Args:
        luminance: Mean of the image in grey levels, 0 to 255.

    Returns:
        "dark" below 85, "medium" below 170, else "bright".

    Example:
        >>> luminance_band(84.9), luminance_band(85.0), luminance_band(170.0)
        ('dark', 'medium', 'bright')
    """
    return next((band for bound, band in _LUMINANCES if luminance < bound), "bright")
