"""What pages draw with: small pictures as SVG, charts as data for plotly, and numbers in words. Reads no files."""
