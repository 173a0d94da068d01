"""faces: who is in this picture; embeddings of faces, and a gallery of embeddings that the client keeps."""
