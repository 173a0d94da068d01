"""Is there a bus or a car in this photograph? A pretrained extractor of features and a logistic head."""
