"""RBMs, deep belief nets and AlexNet, written with Keras 3 and NumPy only."""
