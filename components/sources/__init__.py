"""Sources of images: folders, TFDS, ImageNet archives, the bundled digits."""
