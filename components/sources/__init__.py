"""Sources of images: class folders, TensorFlow Datasets, ImageNet's archives, the bundled digits."""
