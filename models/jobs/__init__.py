"""Jobs: the row is the truth, the message is a doorbell.

``tables`` (what a job is), ``lifecycle`` (what people do), ``work`` (what workers do), ``lapses`` (what is taken back
from them), ``spreading`` (a job that consists of others), ``waiters`` (who waits), ``announcing`` (who is told),
``queries`` (what can be asked), ``shape`` (what is shown). Nothing outside this package assigns a state.
"""
