"""The classes of written forms that the normaliser knows, and which of them an engine reads better itself.

Measured on the golden lines of each class (``tests/workers/test_hibari_reads.py``): how many sound as a careful reader
would say them, first after our rules, then with the form left to hibari 0.2.1. Hibari wins no class; where both have
every line (emoji, negative, ordinal) ours is taken, so that all engines read alike.

    class          lines  ours  hibari      class          lines  ours  hibari      class          lines  ours  hibari
    abbreviation      19    19       9      initials           8     8       7      range              8     8       5
    alphanumeric       9     9       7      math              22    22       8      roman             15    15      11
    code              16    16       7      money             22    22      13      symbol            10    10       8
    date              20    20      13      negative           3     3       3      time              15    15      11
    decimal            6     6       5      number            14    14       9      title             12    12      10
    emoji              3     3       3      ordinal            7     7       7      unit              37    37      20
    fraction          12    12       3      percent            7     7       6      version            6     6       1
                                            phone              6     6       1      web                9     9       3
                                                                                    year              20    20      17
"""

from __future__ import annotations

CLASSES = frozenset(
    "abbreviation alphanumeric code date decimal emoji fraction initials math money negative number ordinal percent "
    "phone range roman symbol time title unit version web year".split()
)
HIBARI_READS: frozenset[str] = frozenset()
