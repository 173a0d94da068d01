"""Which of ten spoken words is in this second of sound? Keyword spotting, in clips and in long recordings."""
