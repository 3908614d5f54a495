"""Jobs: the row is the truth, the message is a doorbell.

``tables`` (what a job is), ``lifecycle`` (what people do), ``work`` (what workers do), ``waiters`` (who waits),
``queries`` (what can be asked). Nothing outside this package assigns a state.
"""
