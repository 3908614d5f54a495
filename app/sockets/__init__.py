"""Live news: one Redis listener a process (``hub``), shaped into documented messages (``feeds``)."""
