"""Names shared by all stations: the splits and the features of an example."""

TRAIN = "train"
VALIDATION = "validation"
TEST = "test"
SPLITS = (TRAIN, VALIDATION, TEST)

IMAGE = "image"  # bytes: the encoded file, JPEG or PNG
LABEL = "label"  # int64: index into labels.txt
LABEL_NAME = "label_name"  # bytes: UTF-8
FILE_NAME = "file_name"  # bytes: UTF-8; path below the data folder, or the TFDS id
WIDTH = "width"  # int64: pixels
HEIGHT = "height"  # int64: pixels
BYTES = "bytes"  # int64: length of the encoded file
LUMINANCE = "luminance"  # float: mean of the image in grey levels, 0 to 255
LUMINANCE_BAND = "luminance_band"  # bytes: "dark" below 85, "medium" below 170, "bright"; a slice of the evaluation
SIZE_BAND = "size_band"  # bytes: the shorter side, "<32", "32-63", "64-127", "128-255", "256-511", ">=512"; a slice

# What StatisticsGen, SchemaGen and Transform look at. A file name is unique to its image, and the bands are derived:
# a schema that learnt their values from the training images would call new ones anomalies.
CHECKED_FEATURES = (IMAGE, LABEL, LABEL_NAME, WIDTH, HEIGHT, BYTES, LUMINANCE)

# Files at the root of the Examples artifact, beside its Split-<name>/ folders.
LABELS_FILE = "labels.txt"
MANIFEST_FILE = "manifest.parquet"
QUARANTINE_FILE = "quarantine.jsonl"
