"""Names shared by all stations: the splits and the features of an example."""

import itertools

TRAIN = "train"
VALIDATION = "validation"
TEST = "test"
SPLITS = (TRAIN, VALIDATION, TEST)

IMAGE = "image"  # bytes: the encoded file, JPEG or PNG
LABEL = "label"  # int64: index into labels.txt
LABEL_NAME = "label_name"  # bytes: UTF-8
FILE_NAME = "file_name"  # bytes: UTF-8; path below the data folder, or the TFDS id
WIDTH = "width"  # int64: pixels of the source's file, also where a stored size made the image smaller
HEIGHT = "height"  # int64: pixels of the source's file
BYTES = "bytes"  # int64: length of the encoded file in IMAGE
LUMINANCE = "luminance"  # float: mean of IMAGE in grey levels, 0 to 255
LUMINANCE_BAND = "luminance_band"  # bytes: see `luminance_band`; a slice of the evaluation
SIZE_BAND = "size_band"  # bytes: see `size_band`; a slice of the evaluation
WORDNET = "wordnet"  # bytes: what the class is a kind of, such as "dog"; a slice, and absent where it is not known

# What StatisticsGen, SchemaGen and Transform look at. A file name is unique to its image, and the bands are derived:
# a schema that learnt their values from the training images would call new ones anomalies.
CHECKED_FEATURES = (IMAGE, LABEL, LABEL_NAME, WIDTH, HEIGHT, BYTES, LUMINANCE)

# Files at the root of the Examples artifact, beside its Split-<name>/ folders.
LABELS_FILE = "labels.txt"
MANIFEST_FILE = "manifest.parquet"
QUARANTINE_FILE = "quarantine.jsonl"

# The bands' bounds are fixed, so that a slice means the same in every data set.
_SIZES = (32, 64, 128, 256, 512)
_LUMINANCES = ((85, "dark"), (170, "medium"))


def size_band(width: int, height: int) -> str:
    """The band of an image's shorter side in pixels: "below 32", "32 to 63", ... "256 to 511", "512 and above"."""
    side = min(width, height)
    if side < _SIZES[0]:
        return f"below {_SIZES[0]}"
    for low, high in itertools.pairwise(_SIZES):
        if side < high:
            return f"{low} to {high - 1}"
    return f"{_SIZES[-1]} and above"


def luminance_band(luminance: float) -> str:
    """The band of an image's mean in grey levels: "dark" below 85, "medium" below 170, "bright"."""
    return next((band for bound, band in _LUMINANCES if luminance < bound), "bright")
