"""TFX's Transform with an executor of ours: TFT's own analysis graph, run by straight code in this process.

    executor.py      which engine works; what is asked of it, from artifacts and properties
    process.py       the steps: trace, analyse, publish the graph, transform and write the examples
    tracing.py       preprocessing_fn traced once: its graph, the columns it reads, its operations
    interpreter.py   visits TFT's operations, phase after phase, in place of Beam
    accumulating.py  what takes in batches: combiners and counts of tokens
    merging.py       what follows on them: merging, formats of outputs
    vocabularies.py  pruning, ordering and writing vocabularies
    models.py        TFT's saved models: made, and applied to batches
    caching.py       the analyzer cache, in the files that TFT writes
    failing.py       which row and which feature preprocessing_fn fails on

Combiners, saved models, cache coders and metadata are TFT's own; what is ours is the order in which they are called.
"""
