"""`viaduct new NAME --data FILE`: reads a file once, says what it found, writes a project about it.

reading.py reads, columns.py and target.py judge columns and label, baseline.py measures, writing.py renders the
templates beside it, creating.py does all of it in order. What is generated needs nothing of this room.
"""
