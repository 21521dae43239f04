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

# Files at the root of the Examples artifact, beside its Split-<name>/ folders.
LABELS_FILE = "labels.txt"
MANIFEST_FILE = "manifest.parquet"
QUARANTINE_FILE = "quarantine.jsonl"
