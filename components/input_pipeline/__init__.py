"""Input pipeline: tf.data from stored examples to training batches."""
