"""The mathematics: restricted Boltzmann machines, deep belief nets and AlexNet, in Keras 3 and NumPy only."""
