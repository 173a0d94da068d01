"""What pages are filled from: run records, ML Metadata, artifacts and model servers as plain values. No HTML."""
