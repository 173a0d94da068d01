"""TFLiteExporter: a trained model for phones and small boards, checked against the original."""
