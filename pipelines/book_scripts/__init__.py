"""Text in a book's style, word by word, from an LSTM that has read it."""
