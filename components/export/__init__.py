"""Export: trained models as SavedModels with signatures, assets and warm-up requests."""
