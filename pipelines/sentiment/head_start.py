"""What a linear model thinks of each word, as a start for the embedding.

With a thousand different sentences a recurrent network soon learns which film is liked, and hardly meets the rarer
words of praise and blame. A logistic regression on the words of a sentence, which has no order to learn, weighs
them well; the first of each word's eight numbers begins as that weight. From there the network learns as usual.
"""

from __future__ import annotations

import numpy as np

from pipelines.sentiment.features import FIRST_WORD

# Inverse strength of the regression's penalty, and what its weights are multiplied by to suit the embedding's scale.
PENALTY, SCALE = 10.0, 0.3


def word_weights(tokens: np.ndarray, labels: np.ndarray, weights: np.ndarray, words: int) -> np.ndarray:
    """[words + FIRST_WORD] numbers, positive for words of praise, 0 for fill and the unknown word.

    `tokens` [n, 40] word numbers, `labels` [n] 0 or 1, `weights` [n] of the rows. Raises ValueError from
    scikit-learn if there is but one class.
    """
    from scipy.sparse import csr_matrix
    from sklearn.linear_model import LogisticRegression

    rows, columns = np.nonzero(tokens >= FIRST_WORD)
    shape = (len(tokens), words + FIRST_WORD)
    present = csr_matrix((np.ones(len(rows)), (rows, tokens[rows, columns])), shape=shape)
    # A word that stands in the sentence twice was added up.
    present.sum_duplicates()
    present.data[:] = 1.0
    fitted = LogisticRegression(C=PENALTY, max_iter=300).fit(present, labels, weights)
    return (SCALE * fitted.coef_[0]).astype(np.float32)
