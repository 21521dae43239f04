"""Export: trained models as SavedModels with signatures, warm-up requests and labels."""
